#!/usr/bin/env node
import { runProgram } from './program.ts'

// Whoever reads our lines may have enough of them: `darkroom list | head`.
process.stdout.on('error', (reason: NodeJS.ErrnoException) => {
  if (reason.code === 'EPIPE') process.exit()
  throw reason
})
await runProgram(process.argv.slice(2), process.env)
