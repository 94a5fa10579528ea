/**
 * `npm run pack-cli [-- FOLDER]`: the darkroom command as a package of plain JavaScript for Node 20 and later, as a tarball that
 * `npm install --global` takes. Node strips no types under node_modules, and lacks on 20 what the sources use of 24: both are
 * seen to here.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { rolldown } from 'rolldown'

const ROOT = path.resolve(import.meta.dirname, '../..')
const WORK = path.join(ROOT, 'build/cli')
/** Have a native part, or read files that lie beside their code: npm installs them beside the bundle. */
const APART = ['sharp', '@grpc/grpc-js', '@grpc/proto-loader', '@grpc/reflection', 'grpc-health-check']

interface Manifest {
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
}

export async function packCli(target: string): Promise<string> {
  rmSync(WORK, { recursive: true, force: true })
  mkdirSync(path.join(WORK, 'bin'), { recursive: true })
  const bundle = await rolldown({
    input: path.join(import.meta.dirname, 'src/packed.ts'),
    platform: 'node',
    external: APART,
    // The language of Node 20: `using` is written out.
    transform: { target: 'node20' },
    checks: { eval: false },
    onLog: () => {},
  })
  await bundle.write({
    file: path.join(WORK, 'bin/darkroom.mjs'),
    format: 'esm',
    codeSplitting: false,
    banner: '#!/usr/bin/env node',
  })
  await bundle.close()
  const { version } = manifestOf('services/cli')
  const { dependencies = {} } = manifestOf('services/lib/chassis')
  const manifest = {
    name: 'darkroom-cli',
    version,
    description: 'The command line of Darkroom, a distributed GPU render farm for diffusion models',
    license: 'Apache-2.0',
    type: 'module',
    bin: { darkroom: 'bin/darkroom.mjs' },
    engines: { node: '>=20.9' },
    dependencies: Object.fromEntries(APART.map((name) => [name, dependencies[name]])),
  }
  writeFileSync(path.join(WORK, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  copyFileSync(path.join(ROOT, 'LICENSE'), path.join(WORK, 'LICENSE'))
  writeFileSync(path.join(WORK, 'README.md'), README)
  mkdirSync(target, { recursive: true })
  const args = ['pack', WORK, '--pack-destination', target, '--silent']
  return path.join(target, execFileSync('npm', args, { encoding: 'utf8' }).trim())
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(path.join(ROOT, folder, 'package.json'), 'utf8')) as Manifest
}

const README = `# darkroom

The command line of Darkroom, a distributed GPU render farm for diffusion models.

\`\`\`
darkroom login https://farm.example.com --key-stdin < key.txt
darkroom submit prompts.jsonl --watch
darkroom download BATCH
\`\`\`

\`darkroom --help\` shows every command; \`source <(darkroom completion bash)\` completes them.
`

if (import.meta.main) console.log(await packCli(process.argv[2] ?? path.join(ROOT, 'build')))
