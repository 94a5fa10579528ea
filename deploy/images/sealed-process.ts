import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { ImageSettings } from './dockerfile.ts'

/** As a container runtime sets it up: nothing can be written but /tmp, /dev/shm and the cache; no capability is left, no privilege gained. */
const SEAL = `set -e
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t tmpfs -o mode=1777,size=1g tmpfs "$ROOT/tmp"
mount -t tmpfs -o mode=1777,size=1g tmpfs "$ROOT/dev/shm"
mount -t tmpfs -o uid=\${USER_ID%:*},mode=0700,size=4g tmpfs "$ROOT/var/cache/darkroom"
for device in null zero full random urandom; do mount --bind "/dev/$device" "$ROOT/dev/$device"; done
mount -t proc proc "$ROOT/proc"
exec env -i "$@"`

/** As the base image sets it. */
const BASE_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface Sealed {
  readonly child: ChildProcess
  /** What it has complained of so far, on its standard error. */
  complaints(): string
  /** The fields of the first line whose message is so. @throws Error where it ends before */
  said(message: string): Promise<Readonly<Record<string, unknown>>>
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
}

/** Starts the command of an image in its own root, as its user. Only root can, and only this process's mounts change. */
export function startSealed(root: string, image: ImageSettings, env: Readonly<Record<string, string>>): Sealed {
  const variables = Object.entries({ PATH: BASE_PATH, ...image.env, ...env }).map(([name, value]) => `${name}=${value}`)
  const enter = ['setpriv', '--no-new-privs', 'chroot']
  const as = [`--userspec=${image.user}`, `--groups=${image.user.split(':')[1]}`, root]
  const child = spawn(
    'unshare',
    [
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      SEAL,
      'seal',
      ...variables,
      ...enter,
      ...as,
      ...image.entrypoint,
    ],
    { env: { PATH: process.env['PATH'], ROOT: root, USER_ID: image.user }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const exited = once(child, 'exit') as Promise<[number | null]>
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => lines.push(line))
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()))
  return {
    child,
    complaints: () => complaints,
    async said(message) {
      for (;;) {
        const found = lines.find((line) => line.includes(`"msg":"${message}"`))
        if (found !== undefined) return JSON.parse(found) as Record<string, unknown>
        const ended = await Promise.race([once(reader, 'line').then(() => false), exited.then(() => true)])
        if (ended)
          throw new Error(`it ended before it said '${message}':\n${[...lines.slice(-20), complaints].join('\n')}`)
      }
    },
    async stop() {
      child.kill('SIGTERM')
      return (await exited)[0]
    },
  }
}
