import { writeFileSync } from 'node:fs'
import { readJson } from './read-json.ts'

/** What the library computes for the inputs of a case file. Knows no expected values. Formats: README.md beside this file. */
const KINDS: Record<string, (args: string[]) => Promise<void>> = {
  randn: async ([input, output]) => {
    const { runRandn } = await import('./randn.ts')
    writeJson(output!, runRandn(readJson(input!) as Parameters<typeof runRandn>[0]))
  },
  schedulers: async ([input, output]) => {
    const { runSchedulers } = await import('./schedulers.ts')
    writeJson(output!, runSchedulers(readJson(input!) as Parameters<typeof runSchedulers>[0]))
  },
  upstream: async ([input, output]) => {
    const { runUpstream } = await import('./upstream.ts')
    writeJson(output!, runUpstream(readJson(input!) as Parameters<typeof runUpstream>[0]))
  },
  tokenizer: async ([folder, input, output]) => {
    const { runTokenizer } = await import('./tokenizer.ts')
    writeJson(output!, runTokenizer(folder!, readJson(input!) as Parameters<typeof runTokenizer>[1]))
  },
  pipelines: async ([folder, output]) => (await import('./pipelines.ts')).runPipelines(folder!, output!),
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value)}\n`)
}

const [kind, ...args] = process.argv.slice(2)
const run = kind === undefined ? undefined : KINDS[kind]
const wanted = kind === 'tokenizer' ? 3 : 2
if (run === undefined || args.length !== wanted) {
  console.error('usage: npm run --silent conformance -- randn|schedulers|upstream IN.json OUT.json')
  console.error('       npm run --silent conformance -- tokenizer CHECKPOINT_DIR IN.json OUT.json')
  console.error('       npm run --silent conformance -- pipelines DIR OUT_DIR')
  process.exitCode = 2
} else {
  await run(args)
}
