import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadCudaLibraries } from './cuda-libraries.ts'
import { loadLibrary, neededLibraries } from './shared-library.ts'
import { writeSharedLibrary } from './shared-library.harness.ts'

let folder: string
let count = 0

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-libraries-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** What is loaded stays loaded, so each test has libraries of its own. */
function names(...stems: readonly string[]): string[] {
  count++
  return stems.map((stem) => `lib${stem}-${process.pid}-${count}.so.1`)
}

function write(where: string, soname: string, needed: readonly string[] = []): string {
  mkdirSync(path.join(folder, where), { recursive: true })
  const file = path.join(folder, where, soname)
  writeSharedLibrary(file, soname, needed)
  return file
}

/** A provider as onnxruntime's install step leaves it; libcudnn.so.9 is where every test finds it. */
function provider(...needed: readonly string[]): string {
  write('cudnn', 'libcudnn.so.9')
  return write('provider', 'libprovider.so', needed)
}

const isMapped = (file: string): boolean => readFileSync('/proc/self/maps', 'utf8').includes(file)

test('what a library needs is read from its file', () => {
  expect(neededLibraries(write('a', 'libone.so.1', ['libtwo.so.2', 'libthree.so']))).toEqual([
    'libtwo.so.2',
    'libthree.so',
  ])
  expect(neededLibraries(process.execPath)).toContain('libc.so.6')
})

test('a file that is no shared library is refused', () => {
  const file = path.join(folder, 'text')
  writeFileSync(file, 'INPUT(libcudart.so.12)')
  expect(() => neededLibraries(file)).toThrow(/is no shared library/)
})

test('a library that is loaded by its path is found by those that need it by its name', () => {
  const [inner, outer] = names('inner', 'outer')
  const files = [write('a', inner!), write('b', outer!, [inner!])] as const
  expect(loadLibrary(files[1])).toBe(`${inner}: cannot open shared object file: No such file or directory`)
  expect(loadLibrary(files[0])).toBeNull()
  expect(loadLibrary(files[1])).toBeNull()
  expect(files.map(isMapped)).toEqual([true, true])
})

test('libraries are loaded from the named folders, from wheels below them and from the standard ones, needs first', () => {
  const [a, b, c, d] = names('a', 'b', 'c', 'd')
  write('named', a!, [b!])
  write('wheels/cublas/lib', b!, [c!])
  write('cuda-12.4/lib64', c!)
  write('cuda-12.4/lib64', d!)
  const newest = write('cuda-12.10/lib64', d!)
  const places = {
    named: ['named', 'wheels', 'cudnn'].map((name) => path.join(folder, name)),
    standard: [path.join(folder, 'cuda*/lib64')],
  }
  expect(loadCudaLibraries(provider(a!, d!, 'libc.so.6'), places)).toBeNull()
  expect(isMapped(newest)).toBe(true)
})

test('libraries that need each other are loaded once', () => {
  const [a, b] = names('a', 'b')
  write('named', a!, [b!])
  write('named', b!, [a!])
  const named = [path.join(folder, 'named'), path.join(folder, 'cudnn')]
  // The loader itself cannot come to an end with a circle across folders that it does not search.
  expect(loadCudaLibraries(provider(a!), { named, standard: [] })).toContain('cannot be loaded')
})

test('every missing library is named, with where it was looked for and what to install', () => {
  const [cublas] = names('cublas')
  const named = [path.join(folder, 'cudnn')]
  const needs = provider('libcudart.so.7', cublas!, 'libcuda.so.1')
  expect(loadCudaLibraries(needs, { named, standard: [] })).toBe(
    "libcuda.so.1 is missing, which comes with NVIDIA's driver; " +
      `missing libcudart.so.7, ${cublas}: install CUDA 7, or name the folders in DARKROOM_CUDA_LIBRARY_PATH ` +
      `(README, "On a GPU"); looked in ${named[0]}, LD_LIBRARY_PATH, the system's cache`,
  )
})

test('a library that is there and does not load is told in the words of the loader', () => {
  const [broken, lost] = names('broken', 'lost')
  const file = write('named', broken!, [lost!])
  const named = [path.join(folder, 'named'), path.join(folder, 'cudnn')]
  expect(loadCudaLibraries(provider(broken!), { named, standard: [] })).toBe(
    `${file} cannot be loaded: ${lost}: cannot open shared object file: No such file or directory`,
  )
})
