import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { onnxModel } from './onnx.harness.ts'
import { PromptEncoders } from './prompt-encoders.ts'

const EMOJI = path.resolve(import.meta.dirname, '../../../../deploy/checkpoints/emoji-sd')

/** A checkpoint's tokenizer beside an encoder that puts out the mask that it is given. */
function folderWithMask(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-prompts-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(path.join(EMOJI, 'tokenizer'), path.join(folder, 'tokenizer'), { recursive: true })
  mkdirSync(path.join(folder, 'text_encoder'))
  const ids = ['int64', ['batch', 'tokens']] as const
  const model = onnxModel({
    inputs: { input_ids: ids, attention_mask: ids },
    outputs: { last_hidden_state: ['float32', ['batch', 'tokens']] },
    nodes: [{ op: 'Cast', from: 'attention_mask', to: 'last_hidden_state' }],
  })
  writeFileSync(path.join(folder, 'text_encoder/model.onnx'), model)
  return folder
}

test.for([
  [false, [1, 1, 1, 1, 1, 1, 1, 1], 'sees its padding too, as where diffusers gives no mask'],
  [true, [1, 1, 1, 1, 1, 0, 0, 0], 'with use_attention_mask sees the prompt alone'],
] as const)('an encoder that declares a mask (%s: %j) %s', async ([masksPadding, want]) => {
  const encoder = {
    tokenizer: 'tokenizer',
    encoder: 'text_encoder',
    maxLength: 8,
    followsRequest: false,
    outputs: ['last_hidden_state'],
    masksPadding,
  }
  const settings = { device: 'cpu', deviceOrdinal: 0, threads: 1 } as const
  const prompts = await PromptEncoders.load(folderWithMask(), [encoder], settings)
  onTestFinished(() => prompts.release())
  const { outputs } = await prompts.encode('a red apple')
  expect([...outputs[0]!['last_hidden_state']!.data]).toEqual(want)
})
