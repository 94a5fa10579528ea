import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { schedulersPage } from './schedulers-page.ts'

test("the schedulers' page says what the registry says", () => {
  const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/schedulers.md'), 'utf8')
  expect(page, 'run npm run docs').toBe(schedulersPage())
})

test('every class says where it comes from, every name of another program, and what each of its keys may be', () => {
  const lines = schedulersPage().split('\n')
  const rows = lines.filter((line) => /^\| \[\w+Scheduler\]/.test(line)).map((line) => line.split(' | '))
  expect(rows.length).toBeGreaterThan(30)
  expect(rows.filter(([, paper]) => !paper!.includes('https://'))).toEqual([])
  const called = rows.flatMap((row) => row.at(-1)!.replace(/ \|$/, '').split(', '))
  for (const name of ['PLMS', 'UniPC', 'uni_pc_bh2', 'DPM++ 2M SDE', 'dpmpp_3m_sde']) expect(called).toContain(name)
  const keys = lines
    .slice(lines.indexOf('## CMStochasticIterativeScheduler'))
    .filter((line) => /^\| \w+ \| /.test(line))
  expect(keys.filter((line) => /\|\s*\|$|Infinity/.test(line))).toEqual([])
  expect(keys).toContain('| num_train_timesteps | 1000 | an integer from 1 to 1000000 |')
  expect(keys).toContain('| clip_sample | true | true or false |')
})
