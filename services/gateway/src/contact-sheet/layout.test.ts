import type { ItemLine } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { layOut } from './layout.ts'
import type { SheetCell } from './layout.ts'

function cell(change: Partial<ItemLine> = {}, index = 0): SheetCell {
  const line = {
    index,
    task: 'text-to-image',
    checkpoint: 'emoji-sd@sha256:aa',
    prompt: 'a fox',
    width: 64,
    height: 64,
    scheduler: 'DDIMScheduler',
    numInferenceSteps: 20,
    guidanceScale: 3,
    seed: 0,
    ...change,
  } as ItemLine
  return { line, seed: line.seed, name: `${index}` }
}

function gridOf(cells: readonly SheetCell[]): string[] {
  return layOut(cells)[0]!.cells.map(({ row, column }) => `${row} | ${column.join(', ')}`)
}

test('of a sweep the schedulers go down, steps and seeds across', () => {
  const cells = ['DDIMScheduler', 'EulerAncestralDiscreteScheduler'].flatMap((scheduler) =>
    [5, 10].flatMap((numInferenceSteps) => [0, 1].map((seed) => cell({ scheduler, numInferenceSteps, seed }))),
  )
  expect(gridOf(cells)).toEqual([
    'DDIM | 5 steps, seed 0',
    'DDIM | 5 steps, seed 1',
    'DDIM | 10 steps, seed 0',
    'DDIM | 10 steps, seed 1',
    'EulerAncestral | 5 steps, seed 0',
    'EulerAncestral | 5 steps, seed 1',
    'EulerAncestral | 10 steps, seed 0',
    'EulerAncestral | 10 steps, seed 1',
  ])
})

test('what follows from the rest has no head of its own', () => {
  const cells = ['a fox', 'a cat'].flatMap((prompt) =>
    [5, 10].map((numInferenceSteps) => cell({ prompt, numInferenceSteps, guidanceScale: numInferenceSteps / 5 })),
  )
  expect(gridOf(cells)).toEqual(['a fox | 5 steps', 'a fox | 10 steps', 'a cat | 5 steps', 'a cat | 10 steps'])
})

test('a few that differ in one thing stand side by side', () => {
  expect(gridOf([0, 1, 2].map((seed) => cell({ seed })))).toEqual([' | seed 0', ' | seed 1', ' | seed 2'])
})

test('more columns than screens are wide become rows', () => {
  const cells = ['DDIMScheduler', 'PNDMScheduler'].flatMap((scheduler) =>
    Array.from({ length: 30 }, (_, seed) => cell({ scheduler, seed })),
  )
  expect(gridOf(cells).slice(29, 31)).toEqual(['seed 29 | DDIM', 'seed 0 | PNDM'])
})

test('pictures that are no sweep stand ten to a row, under the numbers of their items', () => {
  const cells = Array.from({ length: 23 }, (_, n) =>
    cell({ prompt: `thing ${n}`, scheduler: n % 2 === 0 ? 'DDIMScheduler' : 'PNDMScheduler', seed: n * 7 }, n),
  )
  const grid = gridOf(cells)
  expect([grid[0], grid[9], grid[10], grid[22]]).toEqual(['0-9 | +0', '0-9 | +9', '10-19 | +0', '20-22 | +2'])
})

test('each checkpoint, task and size has a section', () => {
  const other = { task: 'unconditional-image-generation', checkpoint: 'emoji-ddpm@sha256:bb', width: 32, height: 32 }
  expect(layOut([cell(), cell(other), cell({ seed: 1 })]).map(({ title, cells }) => [title, cells.length])).toEqual([
    ['text-to-image, emoji-sd, 64 x 64', 2],
    ['unconditional-image-generation, emoji-ddpm, 32 x 32', 1],
  ])
})
