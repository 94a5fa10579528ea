// Runs a program of the farm as a child of the launcher: node child.mjs MAIN. When the launcher is gone, however it ended,
// this process's standard input ends, and so does this process.
import { pathToFileURL } from 'node:url'

process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'))
process.stdin.on('error', () => process.kill(process.pid, 'SIGTERM'))
process.stdin.resume()
process.stdin.unref()

await import(pathToFileURL(process.argv[2]).href)
