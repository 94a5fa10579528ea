import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'

export interface TorchSeconds {
  /** Of a batch of one and of eight; null where they could not be measured. */
  readonly b1: number | null
  readonly b8: number | null
  /** What was measured, or why it was not. */
  readonly reason: string
}

/** diffusers in fp16, eager, with the same architecture and as many steps. */
export async function torchSeconds(python: string, steps: number, device: string): Promise<TorchSeconds> {
  if (device !== 'cuda') return { b1: null, b8: null, reason: `not measured: compared on CUDA, not on ${device}` }
  try {
    const script = path.join(import.meta.dirname, 'torch_sd15.py')
    const { stdout } = await promisify(execFile)(python, [script, String(steps)], { maxBuffer: 2 ** 24 })
    const { b1, b8, versions } = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as {
      b1: number
      b8: number
      versions: string
    }
    return { b1, b8, reason: versions }
  } catch (reason) {
    const { stderr = '', message } = reason as Error & { stderr?: string }
    return { b1: null, b8: null, reason: `not measured: ${stderr.trim().split('\n').at(-1) || message}` }
  }
}
