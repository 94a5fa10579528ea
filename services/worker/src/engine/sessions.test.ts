import { expect, test } from 'vitest'
import { Graph } from './sessions.ts'

const settings = { device: 'cpu', deviceOrdinal: 0, threads: 1 } as const
const FLOAT = 1
const INT64 = 7
const FLOAT16 = 10

/** An ONNX model of one Identity node over a vector of one, of the given element type. */
function identity(elementType: number): Buffer {
  const graph = 'CAgSADo7ChAKAXgSAXkiCElkZW50aXR5EgVwcm9iZVoPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEA0='
  const bytes = Buffer.from(graph, 'base64')
  const typed = Buffer.from([0x0a, 0x08, 0x08, FLOAT])
  for (let at = bytes.indexOf(typed); at !== -1; at = bytes.indexOf(typed, at + 1)) bytes[at + 3] = elementType
  return bytes
}

test.for([
  ['float32', FLOAT, 0.1, Math.fround(0.1)],
  ['float16', FLOAT16, 0.1, 0.0999755859375],
] as const)('%s goes in and comes out as float32', async ([type, elementType, value, want]) => {
  const graph = await Graph.load(identity(elementType), settings)
  expect(graph.inputs.get('x')).toMatchObject({ type, dims: [1] })
  expect([...(await graph.runOne({ x: { data: new Float32Array([value]), dims: [1] } }))]).toEqual([want])
  await graph.release()
})

test('an output that is no picture or latent is refused by name', async () => {
  const graph = await Graph.load(identity(INT64), settings)
  await expect(graph.run({ x: { data: [957.375], dims: [1] } })).rejects.toThrow(/output is int64/)
  await graph.release()
})
