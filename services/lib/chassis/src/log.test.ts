import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { expect, test } from 'vitest'

const mod = (file: string): string => JSON.stringify(path.join(import.meta.dirname, file))

test('logs are JSON lines on stdout with service, level, time, bindings and errors, and no secret in them', () => {
  const program = `
    import { createLogger } from ${mod('log.ts')}
    import { DarkroomError } from ${mod('errors.ts')}
    import { Secret } from ${mod('config.ts')}
    const log = createLogger('worker', 'info').child({ workerId: 'w1' })
    log.debug('not shown')
    log.info({ key: new Secret('hunter2') }, 'ready')
    log.error({ err: new DarkroomError('NOT_FOUND', 'no batch') }, 'rpc failed')`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines).toEqual([
    expect.objectContaining({ service: 'worker', level: 'info', workerId: 'w1', msg: 'ready', key: '[secret]' }),
    expect.objectContaining({ level: 'error', msg: 'rpc failed', err: expect.objectContaining({ code: 'NOT_FOUND' }) }),
  ])
  expect(lines[0]!['time']).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/)
})
