import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import runtime from 'onnxruntime-node/package.json' with { type: 'json' }

/**
 * `node test/bench/gpu/bundle.ts OUT.tar.gz [--cuda]`: what a machine with a GPU and without network needs to run
 * `npm run bench -- gpu`: the sources, Node, the packages, and with --cuda onnxruntime's CUDA provider and NVIDIA's libraries from
 * PyPI. There: unpack it and run `./bench-gpu`. The checkpoint is made on the spot.
 */

const ROOT = path.resolve(import.meta.dirname, '../../..')
const LIBRARIES = [
  'nvidia-cublas',
  'nvidia-curand',
  'nvidia-cufft',
  'nvidia-cuda-runtime',
  'nvidia-cuda-nvrtc',
  'nvidia-cudnn-cu13',
]
const RUN = `#!/bin/sh
cd "$(dirname "$0")" && exec ./node test/bench/main.ts gpu --cuda cuda/nvidia "$@"
`

const { positionals, values } = parseArgs({ allowPositionals: true, options: { cuda: { type: 'boolean' } } })
const [out] = positionals
if (out === undefined) {
  console.error('usage: node test/bench/gpu/bundle.ts OUT.tar.gz [--cuda]')
  process.exit(2)
}
const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-bundle-'))
try {
  const run = (command: string, ...args: string[]): void =>
    void execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, maxBuffer: 2 ** 26 })
    .toString()
    .split('\0')
  for (const file of files.filter((name) => name !== '' && existsSync(path.join(ROOT, name)))) {
    cpSync(path.join(ROOT, file), path.join(folder, file))
  }
  run('npm', 'ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund')
  cpSync(process.execPath, path.join(folder, 'node'))
  if (values.cuda === true) bringCuda(folder, run)
  writeFileSync(path.join(folder, 'bench-gpu'), RUN)
  chmodSync(path.join(folder, 'bench-gpu'), 0o755)
  run('tar', '-czf', path.resolve(out), '.')
  console.log(`${path.resolve(out)}: unpack it and run ./bench-gpu`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function bringCuda(target: string, run: (command: string, ...args: string[]) => void): void {
  const wheels = path.join(target, 'wheels')
  mkdirSync(wheels)
  run('pip', 'download', '--no-deps', '-d', wheels, `onnxruntime-gpu==${runtime.version}`)
  const wheel = path.join(wheels, readdirSync(wheels)[0]!)
  const bin = path.join(target, 'node_modules/onnxruntime-node/bin/napi-v6', process.platform, process.arch)
  run('unzip', '-joq', wheel, 'onnxruntime/capi/libonnxruntime_providers_[cs]*.so', '-d', bin)
  rmSync(wheels, { recursive: true })
  run('pip', 'install', '--no-deps', '--target', 'cuda', ...LIBRARIES)
}
