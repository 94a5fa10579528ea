import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'

/**
 * Ends a child when this process is gone, even by SIGKILL: for programs that do not watch their standard input. A shell waits
 * for the end of a pipe that only this process holds.
 */
export function endWithUs(child: ChildProcess): void {
  const guard = spawn('sh', ['-c', 'read -r line; kill "$1"', 'guard', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.on('error', () => {})
  guard.stdin.on('error', () => {})
  guard.unref()
  child.once('exit', () => guard.kill('SIGKILL'))
}
