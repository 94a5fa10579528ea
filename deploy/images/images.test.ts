import { COORDINATOR_NODE_FLAGS } from '@darkroom/local'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { beforeAll, afterAll, expect, onTestFinished, test } from 'vitest'
import { isInContext, workspaceFolders } from './build-context.ts'
import { commandsOf, settingsOf, stagesOf } from './dockerfile.ts'
import { closureOf } from './package-closure.ts'
import { binariesIn, IMAGES, stageImage, workspaceOf } from './stage-image.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const STAGES = stagesOf()

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-image-'))
  stageImage('worker-cpu', folder)
})
afterAll(() => rmSync(folder, { recursive: true }))

const inImage = (pattern: string): string[] => globSync(pattern, { cwd: folder })

test('an image holds the sources and packages of its service, and nothing of tests or of other services', () => {
  expect(existsSync(path.join(folder, 'app/services/worker/src/main.ts'))).toBe(true)
  expect(inImage('app/services/*')).toEqual(expect.not.arrayContaining(['app/services/gateway', 'app/services/cli']))
  expect(inImage('app/{services,proto}/**/*.{test,harness,suite}.ts')).toEqual([])
  expect(inImage('app/node_modules/{vitest,typescript,knip,kubernetes-models}')).toEqual([])
  expect(inImage('app/node_modules/onnxruntime-node/bin/*/*')).toEqual([
    `app/node_modules/onnxruntime-node/bin/napi-v6/${process.platform}`,
  ])
})

test('every module of a service resolves inside its image alone', () => {
  const script = `
    for (const specifier of ['@darkroom/chassis', '@darkroom/diffusion', '@darkroom/proto', 'onnxruntime-node', 'sharp']) {
      const url = import.meta.resolve(specifier, 'file://' + process.cwd() + '/services/worker/src/main.ts')
      if (!url.startsWith('file://' + process.cwd())) throw new Error(specifier + ' is found at ' + url)
    }
    await import(process.cwd() + '/services/worker/src/service.ts')`
  const node = path.join(folder, 'usr/bin/node')
  const { status, stderr } = spawnSync(node, ['--input-type=module', '--eval', script], {
    cwd: path.join(folder, 'app'),
    encoding: 'utf8',
    env: { ORT_DISABLE_TELEMETRY: '1' },
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})

test('the bill of materials lists exactly the packages that are there', () => {
  const { packages } = closureOf(ROOT, workspaceOf('worker-cpu'))
  const bill = JSON.parse(readFileSync(path.join(folder, 'app/sbom.cdx.json'), 'utf8')) as {
    bomFormat: string
    components: { name: string; version: string; licenses?: unknown }[]
  }
  expect(bill.bomFormat).toBe('CycloneDX')
  const there = packages.map((one) => JSON.parse(readFileSync(path.join(folder, 'app', one, 'package.json'), 'utf8')))
  const identities = (list: readonly { name: string; version: string }[]): string[] =>
    [...new Set(list.map(({ name, version }) => `${name}@${version}`))].sort()
  expect(identities(bill.components)).toEqual(identities(there))
  expect(bill.components.map(({ name }) => name)).toContain('sharp')
})

test('nothing in an image is loaded that its base does not have', () => {
  for (const file of binariesIn(folder))
    expect(execFileSync('ldd', [file], { encoding: 'utf8' })).not.toContain('not found')
})

test('a dependency that is not installed is an error that says what to do', () => {
  const root = mkdtempSync(path.join(os.tmpdir(), 'darkroom-closure-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  writeFileSync(path.join(root, 'package.json'), '{ "name": "alone", "dependencies": { "nothing-like-it": "1.0.0" } }')
  expect(() => closureOf(root, '.')).toThrow('alone needs nothing-like-it, which is not installed: run npm ci')
})

test('the Dockerfile has a target for every image, on a base with a version and a digest, as user 65532, with its own entrypoint', () => {
  for (const image of IMAGES) {
    const { entrypoint, user } = settingsOf(STAGES.get(image)!)
    expect(user).toBe('65532:65532')
    const flags = image === 'coordinator' ? COORDINATOR_NODE_FLAGS : []
    expect(entrypoint).toEqual(['/usr/bin/node', ...flags, path.join('/app', workspaceOf(image), 'src/main.ts')])
  }
  const bases = [...STAGES.values()].map(({ from }) => from).filter((from) => !STAGES.has(from))
  for (const base of bases) expect(base).toMatch(/^[a-z.]+\/[\w/.-]+:(?!latest)[\w.-]+@sha256:[0-9a-f]{64}$/)
})

test('the image runs the Node that the tests run', () => {
  expect(STAGES.get('build')!.from).toContain(`/node:${process.versions.node}-`)
})

test('what the Dockerfile copies and runs is in the build context, with the manifest of every workspace', () => {
  for (const workspace of workspaceFolders())
    expect(workspace, workspace).toSatisfy(() => isInContext(`${workspace}/package.json`))
  for (const file of ['package.json', 'package-lock.json', '.npmrc', 'LICENSE'])
    expect(isInContext(file), file).toBe(true)
  for (const stage of STAGES.values()) {
    const named = [...stage.instructions].flatMap(({ text }) => text.match(/deploy\/images\/[\w.-]+/g) ?? [])
    for (const file of named) {
      expect(existsSync(path.join(ROOT, file)), file).toBe(true)
      expect(isInContext(file), file).toBe(true)
    }
  }
  for (const image of IMAGES)
    expect(commandsOf(STAGES.get(`stage-${image}`)!)[0]).toContain(`node deploy/images/stage.ts ${image} /out`)
  expect(isInContext('deploy/images/images.test.ts')).toBe(false)
  expect(isInContext('services/worker/node_modules/x')).toBe(false)
})

test("onnxruntime's CUDA provider is of the version of onnxruntime-node", () => {
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'node_modules/onnxruntime-node/package.json'), 'utf8'))
  const wheel = readFileSync(path.join(import.meta.dirname, 'requirements-cuda-provider.txt'), 'utf8')
  expect(wheel).toContain(`\nonnxruntime-gpu==${version}\n`)
})

/** Runs build.sh with builders that only write down how they are called. */
function build(environment: Readonly<Record<string, string>>, ...targets: readonly string[]) {
  const bin = mkdtempSync(path.join(os.tmpdir(), 'darkroom-builders-'))
  onTestFinished(() => rmSync(bin, { recursive: true }))
  for (const name of ['docker', 'buildah', 'executor']) {
    writeFileSync(path.join(bin, name), `#!/bin/sh\necho "${name} $*" >>"$0.calls"\n`)
    chmodSync(path.join(bin, name), 0o755)
  }
  const { status, stderr } = spawnSync(path.join(import.meta.dirname, 'build.sh'), targets, {
    encoding: 'utf8',
    env: { PATH: `${bin}:${process.env['PATH']}`, KANIKO: path.join(bin, 'executor'), ...environment },
  })
  const calls = globSync('*.calls', { cwd: bin }).map((file) => readFileSync(path.join(bin, file), 'utf8'))
  return { status, stderr, calls: calls.join('').trim().split('\n') }
}

test('build.sh builds all images by default, named after the version', () => {
  const { status, calls } = build({})
  expect(status).toBe(0)
  expect(calls).toEqual(
    IMAGES.map(
      (image) => `docker build --file deploy/images/Dockerfile --tag darkroom/${image}:0.1.0 --target ${image} .`,
    ),
  )
})

test('build.sh pushes where it is told to', () => {
  const { calls } = build({ REGISTRY: 'registry.example.com', TAG: '1.2.3', PUSH: '1' }, 'gateway')
  expect(calls).toEqual([
    'docker build --file deploy/images/Dockerfile --tag registry.example.com/darkroom/gateway:1.2.3 --target gateway .',
    'docker push registry.example.com/darkroom/gateway:1.2.3',
  ])
})

test('build.sh knows buildah and kaniko, and refuses what it does not know', () => {
  expect(build({ BUILDER: 'buildah' }, 'coordinator').calls[0]).toMatch(/^buildah build .* --target coordinator \.$/)
  expect(build({ BUILDER: 'kaniko' }, 'coordinator').calls[0]).toMatch(
    /^executor --context dir:\/\/\S+ --dockerfile deploy\/images\/Dockerfile --destination darkroom\/coordinator:0.1.0 --target coordinator$/,
  )
  expect(build({ BUILDER: 'podman' })).toMatchObject({ status: 2, stderr: expect.stringContaining("got 'podman'") })
})
