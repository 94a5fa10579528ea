import { expect, onTestFinished, test } from 'vitest'
import { onnxModel } from './onnx.harness.ts'
import type { OnnxGraph } from './onnx.harness.ts'
import { Graph } from './sessions.ts'

async function load(graph: OnnxGraph): Promise<Graph> {
  const loaded = await Graph.load(onnxModel(graph), { device: 'cpu', deviceOrdinal: 0, threads: 1 })
  onTestFinished(() => loaded.release())
  return loaded
}

/** A graph that puts its input out again. */
function identity(...value: OnnxGraph['inputs'][string]): Promise<Graph> {
  return load({ inputs: { x: value }, outputs: { y: value }, nodes: [{ op: 'Identity', from: 'x', to: 'y' }] })
}

test.for([
  ['float32', 0.1, Math.fround(0.1)],
  ['float16', 0.1, 0.0999755859375],
] as const)('%s goes in and comes out as float32', async ([type, value, want]) => {
  const graph = await identity(type, [1])
  expect(graph.inputs.get('x')).toMatchObject({ type, dims: [1] })
  expect([...(await graph.runOne({ x: { data: new Float32Array([value]), dims: [1] } }))]).toEqual([want])
})

test('an output that is no picture or latent is refused by name', async () => {
  const graph = await identity('int64', [1])
  await expect(graph.run({ x: { data: [957.375], dims: [1] } })).rejects.toThrow(/output is int64/)
})

test('a tensor that a graph declares with a batch axis gets one: the ids of Flux before diffusers 0.31', async () => {
  const graph = await identity('float32', ['batch', 'patches', 3])
  const data = Float32Array.of(0, 0, 0, 0, 0, 1)
  const { y } = await graph.run({ x: { data, dims: [2, 3] } })
  expect(y).toEqual({ data, dims: [1, 2, 3] })
})

test('the sample goes to the first input, whatever an export calls it', async () => {
  const graph = await load({
    inputs: { latent_model_input: ['float32', ['batch']], timestep: ['float32', []] },
    outputs: { out: ['float32', ['batch']] },
    nodes: [{ op: 'Identity', from: 'latent_model_input', to: 'out' }],
  })
  const feeds = { sample: { data: Float32Array.of(0.5, 2), dims: [2] }, timestep: { data: [7], dims: [] } }
  expect([...(await graph.runOne(feeds))]).toEqual([0.5, 2])
})

test('what a graph does not declare is left out', async () => {
  const graph = await identity('float32', [1])
  const one = { data: Float32Array.of(1), dims: [1] }
  expect([...(await graph.runOne({ other: { data: [5], dims: [1] }, x: one }))]).toEqual([1])
})
