import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { binariesIn } from './stage-image.ts'

/** Libraries of the base image (distroless cc: libc6, libgcc-s1, libstdc++6). */
const PROVIDED = new Set(
  'ld-linux-x86-64.so.2 ld-linux-aarch64.so.1 libc.so.6 libdl.so.2 libgcc_s.so.1 libm.so.6 libpthread.so.0 libresolv.so.2 librt.so.1 libstdc++.so.6'.split(
    ' ',
  ),
)
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom']

/**
 * Puts this machine's C and C++ libraries where the base image has its own: only those that it has, and those alone that
 * something in the image loads.
 * @throws Error where the image would load a library that its base lacks
 */
export function layBase(target: string): void {
  const needed = new Set(binariesIn(target).flatMap((file) => systemLibrariesOf(file, target)))
  for (const library of needed) {
    if (!PROVIDED.has(path.basename(library)))
      throw new Error(`something in the image loads ${path.basename(library)}, which its base image does not have`)
    const place = path.join(target, library)
    mkdirSync(path.dirname(place), { recursive: true })
    if (!existsSync(place)) cpSync(realpathSync(library), place)
  }
  for (const folder of ['proc', 'tmp', 'dev/shm', 'etc', 'var/cache/darkroom'])
    mkdirSync(path.join(target, folder), { recursive: true })
  for (const device of DEVICES) writeFileSync(path.join(target, 'dev', device), '')
  writeFileSync(path.join(target, 'etc/passwd'), 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n')
}

/** What the dynamic loader takes from outside the image. */
function systemLibrariesOf(file: string, target: string): string[] {
  const lines = execFileSync('ldd', [file], { encoding: 'utf8' }).split('\n')
  return lines.flatMap((line) => {
    if (line.includes('not found')) throw new Error(`${file}: ${line.trim()}`)
    const library = /(?:=> )?(\/\S+) \(/.exec(line)?.[1]
    return library === undefined || library.startsWith(target) ? [] : [library]
  })
}
