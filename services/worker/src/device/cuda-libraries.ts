import { existsSync, globSync } from 'node:fs'
import path from 'node:path'
import { loadLibrary, neededLibraries } from './shared-library.ts'

/** Comes with NVIDIA's driver, never with CUDA. */
const DRIVER = 'libcuda.so.1'
/** onnxruntime opens cuDNN by this name when the first convolution runs. */
const CUDNN = 'libcudnn.so.9'
/** Where toolkits and containers put what the system's cache does not list. */
const STANDARD = ['/usr/local/cuda*/lib64', '/usr/local/nvidia/lib64', '/usr/local/nvidia/lib']

interface Places {
  /** Folders that are looked in first: with libraries, or with those of Python's nvidia-* wheels below them. */
  readonly named: readonly string[]
  /** Patterns of the folders that are looked in last. */
  readonly standard?: readonly string[]
}

/**
 * Loads what onnxruntime's CUDA provider needs, each library after its own needs: from the folders that are named, else where
 * the dynamic loader finds it itself (LD_LIBRARY_PATH, the system's cache), else from the standard folders. What the provider
 * needs is read from its file. The provider itself is onnxruntime's to load: it takes memory from its host as it comes up.
 * @returns null, or which libraries are missing or broken, and the remedy
 */
export function loadCudaLibraries(provider: string, { named, standard = STANDARD }: Places): string | null {
  const search = new LibrarySearch(
    named.flatMap((folder) => [folder, ...globSync(path.join(folder, '*', 'lib{,64}'))]),
    // The newest toolkit first.
    standard.flatMap((pattern) => globSync(pattern).toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true }))),
  )
  const needed = neededLibraries(provider)
  const outcomes = [...new Set([...needed, CUDNN])].map((name) => ({ name, outcome: search.load(name) }))
  const version = needed.map((name) => /^libcudart\.so\.(\d+)$/.exec(name)?.[1]).find((found) => found !== undefined)
  // cuDNN compiles some kernels with it, and does without where it is not there.
  if (version !== undefined) search.load(`libnvrtc.so.${version}`)

  const missing = outcomes.filter(({ outcome }) => outcome === 'missing').map(({ name }) => name)
  const ofToolkit = missing.filter((name) => name !== DRIVER)
  const packages = [
    ...(ofToolkit.some((name) => name !== CUDNN) ? [`CUDA ${version ?? ''}`.trim()] : []),
    ...(ofToolkit.includes(CUDNN) ? ['cuDNN 9'] : []),
  ]
  const sentences = [
    ...(missing.includes(DRIVER) ? [`${DRIVER} is missing, which comes with NVIDIA's driver`] : []),
    ...(ofToolkit.length > 0
      ? [
          `missing ${ofToolkit.join(', ')}: install ${packages.join(' and ')}, ` +
            'or name the folders in DARKROOM_CUDA_LIBRARY_PATH (README, "On a GPU")',
        ]
      : []),
    ...(missing.length > 0 ? [`looked in ${search.places.join(', ')}`] : []),
    ...outcomes.flatMap(({ outcome }) => (typeof outcome === 'object' ? [outcome.refusal] : [])),
  ]
  return sentences.length === 0 ? null : sentences.join('; ')
}

/** The refusal is the dynamic loader's: of a library that is there and does not fit. */
type Outcome = 'loaded' | 'missing' | { readonly refusal: string }

/** Loads libraries by soname, each once. */
class LibrarySearch {
  readonly #named: readonly string[]
  readonly #standard: readonly string[]
  readonly #outcomes = new Map<string, Outcome>()

  constructor(named: readonly string[], standard: readonly string[]) {
    this.#named = named
    this.#standard = standard
  }

  get places(): readonly string[] {
    return [...this.#named, 'LD_LIBRARY_PATH', "the system's cache", ...this.#standard]
  }

  load(name: string): Outcome {
    const known = this.#outcomes.get(name)
    if (known !== undefined) return known
    // Set before its needs are looked at, for libraries may need each other.
    this.#outcomes.set(name, 'loaded')
    const outcome = this.#find(name)
    this.#outcomes.set(name, outcome)
    return outcome
  }

  #find(name: string): Outcome {
    const here = fileIn(this.#named, name)
    if (here !== null) return this.#loadFile(here)
    const refusal = loadLibrary(name)
    if (refusal === null) return 'loaded'
    const elsewhere = fileIn(this.#standard, name)
    if (elsewhere !== null) return this.#loadFile(elsewhere)
    // The loader names first what it cannot open: the library, or one that the library needs.
    return refusal.startsWith(`${name}: cannot open`) ? 'missing' : { refusal }
  }

  #loadFile(file: string): Outcome {
    for (const name of neededLibraries(file)) this.load(name)
    const refusal = loadLibrary(file)
    return refusal === null ? 'loaded' : { refusal: `${file} cannot be loaded: ${refusal}` }
  }
}

function fileIn(folders: readonly string[], name: string): string | null {
  return folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file)) ?? null
}
