import { DarkroomError } from '@darkroom/chassis'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

export interface HubOptions {
  readonly cacheDir?: string
  readonly endpoint?: string
  readonly token?: string
  readonly offline?: boolean
}

export interface HubSettings {
  /** The folder of models--OWNER--NAME folders. */
  readonly cacheDir: string
  /** Without a '/' at its end. */
  readonly endpoint: string
  readonly token: string | null
  readonly isOffline: boolean
  /** Wait before a second attempt; it doubles with each further one. */
  readonly backoffMs: number
}

/**
 * Where the hub and its cache are: what the person said, then the variables that huggingface_hub reads, then its defaults.
 * @throws DarkroomError INVALID_REQUEST
 */
export function hubSettings(
  options: HubOptions,
  environment: Readonly<Record<string, string | undefined>>,
): HubSettings {
  // An empty variable is one that is not set.
  const variable = (name: string): string | undefined => environment[name] || undefined
  const home = variable('HOME') ?? os.homedir()
  const hfHome =
    variable('HF_HOME') ?? path.join(variable('XDG_CACHE_HOME') ?? path.join(home, '.cache'), 'huggingface')
  const cacheDir =
    options.cacheDir ?? variable('HF_HUB_CACHE') ?? variable('HUGGINGFACE_HUB_CACHE') ?? path.join(hfHome, 'hub')
  const tilde = (file: string): string => path.resolve(file.replace(/^~(?=\/|$)/, home))
  return {
    cacheDir: tilde(cacheDir),
    endpoint: endpointOf(options.endpoint ?? variable('HF_ENDPOINT') ?? 'https://huggingface.co'),
    token:
      tokenOf(options.token ?? variable('HF_TOKEN'), '--token or HF_TOKEN') ??
      savedToken(tilde(variable('HF_TOKEN_PATH') ?? path.join(hfHome, 'token'))),
    isOffline: options.offline === true || /^(1|on|yes|true)$/i.test(variable('HF_HUB_OFFLINE') ?? ''),
    backoffMs: 500,
  }
}

function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.search !== '')
    throw new DarkroomError(
      'INVALID_REQUEST',
      '--endpoint or HF_ENDPOINT is no address of a hub: want one such as https://huggingface.co, without a user or a query',
    )
  return url.href.replace(/\/+$/, '')
}

/** What `hf auth login` has written down. */
function savedToken(file: string): string | null {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new DarkroomError('INVALID_REQUEST', `cannot read the token in ${file}: ${(cause as Error).message}`, {
      cause,
    })
  }
  return tokenOf(text, file)
}

function tokenOf(text: string | undefined, source: string): string | null {
  const token = text?.trim() ?? ''
  if (token === '') return null
  // Never shown, not even where it is wrong.
  if (!/^[\u0021-\u007e]+$/.test(token))
    throw new DarkroomError('INVALID_REQUEST', `${source} holds characters that no token has: copy it again`)
  return token
}
