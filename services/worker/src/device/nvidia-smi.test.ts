import { expect, test } from 'vitest'
import { parseReading } from './nvidia-smi.ts'

test('a line of nvidia-smi becomes ratios, bytes, watts and degrees', () => {
  expect(parseReading('NVIDIA H100 80GB HBM3, 97, 4096, 81559, 512.31, 61')).toEqual({
    name: 'NVIDIA H100 80GB HBM3',
    utilizationRatio: 0.97,
    memoryUsedBytes: 4096 * 2 ** 20,
    memoryTotalBytes: 81_559 * 2 ** 20,
    powerWatts: 512.31,
    temperatureCelsius: 61,
  })
})

test('what a device does not tell is 0', () => {
  expect(parseReading('Tesla K80, [N/A], 1, 2, [Not Supported], 40')).toMatchObject({
    utilizationRatio: 0,
    powerWatts: 0,
  })
})

test.for(['', 'No devices were found', 'a, b'])('%j is no reading', (line) => {
  expect(parseReading(line)).toBeNull()
})
