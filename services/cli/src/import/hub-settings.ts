import { DarkroomError } from '@darkroom/chassis'
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
  return {
    cacheDir: path.resolve(cacheDir.replace(/^~(?=\/|$)/, home)),
    endpoint: endpointOf(options.endpoint ?? variable('HF_ENDPOINT') ?? 'https://huggingface.co'),
    token: tokenOf(options.token ?? variable('HF_TOKEN')),
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

function tokenOf(text: string | undefined): string | null {
  const token = text?.trim() ?? ''
  if (token === '') return null
  // Never shown, not even where it is wrong.
  if (!/^[\u0021-\u007e]+$/.test(token))
    throw new DarkroomError('INVALID_REQUEST', '--token or HF_TOKEN holds characters that no token has: copy it again')
  return token
}
