// Runs a program of the farm as a child of the launcher: node child.mjs MAIN. When the launcher is gone, however it ended,
// this process's standard input ends, and so does this process: politely, then by force, since all the others go too.
import { pathToFileURL } from 'node:url'

const GRACE_MS = 3_000

function end() {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), GRACE_MS).unref()
  process.kill(process.pid, 'SIGTERM')
}

process.stdin.once('end', end)
process.stdin.once('error', end)
process.stdin.resume()
process.stdin.unref()

await import(pathToFileURL(process.argv[2]).href)
