import { globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '..')

/** Who may import whom. A room is a workspace; what is not listed is not allowed. */
const ROOMS: Record<string, { folder: string; mayImport: readonly string[] }> = {
  proto: { folder: 'proto', mayImport: [] },
  diffusion: { folder: 'services/lib/diffusion', mayImport: [] },
  chassis: { folder: 'services/lib/chassis', mayImport: ['proto'] },
  gateway: { folder: 'services/gateway', mayImport: ['proto', 'chassis', 'diffusion'] },
  coordinator: { folder: 'services/coordinator', mayImport: ['proto', 'chassis', 'diffusion'] },
  sim: { folder: 'services/lib/sim', mayImport: ['proto', 'chassis', 'coordinator'] },
  worker: { folder: 'services/worker', mayImport: ['proto', 'chassis', 'diffusion'] },
  web: { folder: 'services/gateway/web', mayImport: [] },
  cli: { folder: 'services/cli', mayImport: ['proto', 'chassis', 'diffusion', 'sim'] },
  local: { folder: 'deploy/local', mayImport: ['proto', 'chassis', 'cli'] },
  grafana: { folder: 'deploy/grafana', mayImport: [] },
  helm: { folder: 'deploy/helm', mayImport: ['proto', 'chassis', 'gateway', 'coordinator', 'worker', 'cli', 'local'] },
  images: { folder: 'deploy/images', mayImport: ['chassis', 'cli', 'local'] },
  test: {
    folder: 'test',
    mayImport: [
      'proto',
      'chassis',
      'diffusion',
      'local',
      'grafana',
      'helm',
      'worker',
      'coordinator',
      'gateway',
      'cli',
      'sim',
    ],
  },
}
/** Tests inside a room may also start the real nats-server and S3 server of deploy/local. */
const TESTS_MAY_ALSO_IMPORT = ['local']

/** Packages that one room alone may touch, so that replacing one is a change in one place. */
const OWNED_PACKAGES: Record<string, readonly string[]> = {
  nats: ['chassis'],
  '@aws-sdk/client-s3': ['chassis', 'test', 'local'],
  '@aws-sdk/s3-request-presigner': ['chassis', 'test', 'local'],
  '@grpc/grpc-js': ['chassis'],
  'prom-client': ['chassis'],
  '@opentelemetry/api': ['chassis'],
  '@opentelemetry/sdk-trace': ['chassis'],
  'onnxruntime-node': ['worker', 'test'],
}

interface Import {
  readonly file: string
  readonly specifier: string
}

function importsOf(folder: string): Import[] {
  const inside = Object.values(ROOMS).flatMap((room) => (room.folder.startsWith(`${folder}/`) ? room.folder : []))
  const files = globSync('**/*.{ts,tsx,mts,mjs}', {
    cwd: path.join(ROOT, folder),
    exclude: (name) => name.includes('node_modules'),
  }).filter((file) => !inside.some((other) => path.join(folder, file).startsWith(`${other}/`)))
  return files.flatMap((file) => {
    const text = readFileSync(path.join(ROOT, folder, file), 'utf8')
    const specifiers = text.matchAll(
      /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gmu,
    )
    return [...specifiers].map((match) => ({
      file: path.join(folder, file),
      specifier: match[1] ?? match[2] ?? match[3]!,
    }))
  })
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!
}

describe('rooms', () => {
  test.for(Object.entries(ROOMS))('%s imports only the rooms it may', ([room, { folder, mayImport }]) => {
    const wrong = importsOf(folder).filter(({ file, specifier }) => {
      if (!specifier.startsWith('@darkroom/')) return false
      const target = specifier.split('/')[1]!
      const isTest = /\.test\.ts$|\.harness\.ts$/.test(file)
      return target !== room && !mayImport.includes(target) && !(isTest && TESTS_MAY_ALSO_IMPORT.includes(target))
    })
    expect(wrong).toEqual([])
  })

  test.for(Object.entries(ROOMS))('%s reaches no other room by a relative path', ([room, { folder }]) => {
    if (room === 'test') return expect(folder).toBe('test')
    const outside = importsOf(folder).filter(({ file, specifier }) => {
      if (!specifier.startsWith('.')) return false
      const target = path.relative(path.join(ROOT, folder), path.resolve(ROOT, path.dirname(file), specifier))
      return target.startsWith('..')
    })
    expect(outside).toEqual([])
  })

  test('diffusion imports nothing at all from outside itself, tests apart', () => {
    const outside = importsOf(ROOMS['diffusion']!.folder).filter(
      ({ file, specifier }) => !specifier.startsWith('.') && !/\.test\.ts$|\.suite\.ts$/.test(file),
    )
    expect(outside).toEqual([])
  })

  test('packages with one owner are imported by their owner alone', () => {
    const wrong = Object.entries(ROOMS).flatMap(([room, { folder }]) =>
      importsOf(folder).filter(({ specifier }) => {
        const owners = OWNED_PACKAGES[packageOf(specifier)]
        return owners !== undefined && !owners.includes(room)
      }),
    )
    expect(wrong).toEqual([])
  })

  test('every package that a room imports is declared in its own package.json', () => {
    const undeclared = Object.values(ROOMS).flatMap(({ folder }) => {
      const manifest = JSON.parse(readFileSync(path.join(ROOT, folder, 'package.json'), 'utf8'))
      const declared = new Set([
        ...Object.keys(manifest.dependencies ?? {}),
        ...Object.keys(manifest.devDependencies ?? {}),
        manifest.name,
        'vitest',
      ])
      return importsOf(folder).filter(({ file, specifier }) => {
        if (specifier.startsWith('.') || specifier.startsWith('node:') || builtinModules.includes(specifier))
          return false
        const isTest = /\.test\.ts$|\.harness\.ts$|\.suite\.ts$/.test(file)
        return !declared.has(packageOf(specifier)) && !(isTest && packageOf(specifier).startsWith('@darkroom/'))
      })
    })
    expect(undeclared).toEqual([])
  })

  test('only main.ts reads the environment in a service', () => {
    const readers = ['gateway', 'coordinator', 'worker'].flatMap((room) =>
      globSync('src/**/*.ts', { cwd: path.join(ROOT, ROOMS[room]!.folder) })
        .filter((file) => !file.endsWith('.test.ts') && path.basename(file) !== 'main.ts')
        .filter((file) => readFileSync(path.join(ROOT, ROOMS[room]!.folder, file), 'utf8').includes('process.env')),
    )
    expect(readers).toEqual([])
  })
})
