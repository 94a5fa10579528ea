import type { Secret, Variable } from '@darkroom/chassis'

/** Reads a secret of Standard Webhooks: `whsec_` and 24 to 64 bytes as base64. */
export function webhookKey(inner: Variable<Secret>): Variable<Buffer> {
  return {
    ...inner,
    read(environment) {
      const text = inner.read(environment).reveal()
      const key = Buffer.from(text.replace(/^whsec_/, ''), 'base64')
      if (/^whsec_[A-Za-z0-9+/]+=*$/.test(text) && key.length >= 24 && key.length <= 64) return key
      throw new Error('want whsec_ and 24 to 64 random bytes as base64: echo "whsec_$(openssl rand -base64 32)"')
    },
  }
}
