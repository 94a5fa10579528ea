import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface GpuReading {
  readonly name: string
  readonly utilizationRatio: number
  readonly memoryUsedBytes: number
  readonly memoryTotalBytes: number
  readonly powerWatts: number
  readonly temperatureCelsius: number
}

const FIELDS = ['name', 'utilization.gpu', 'memory.used', 'memory.total', 'power.draw', 'temperature.gpu']
const MIB = 1024 * 1024

/** Reads a line of `nvidia-smi --format=csv,noheader,nounits`; null where it is none. Figures that a device lacks become 0. */
export function parseReading(line: string): GpuReading | null {
  const cells = line.split(',').map((cell) => cell.trim())
  if (cells.length !== FIELDS.length) return null
  const [utilization, used, total, watts, celsius] = cells
    .slice(1)
    .map((cell) => (Number.isFinite(Number(cell)) ? Number(cell) : 0))
  return {
    name: cells[0]!,
    utilizationRatio: utilization! / 100,
    memoryUsedBytes: used! * MIB,
    memoryTotalBytes: total! * MIB,
    powerWatts: watts!,
    temperatureCelsius: celsius!,
  }
}

/** One nvidia-smi process that prints a reading a second; calls nothing where there is no nvidia-smi. */
export function watchGpu(ordinal: number, onReading: (reading: GpuReading) => void): Disposable {
  const args = [`--query-gpu=${FIELDS.join(',')}`, '--format=csv,noheader,nounits', `--id=${ordinal}`, '--loop-ms=1000']
  const child = spawn('nvidia-smi', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  // Most often ENOENT: a machine without NVIDIA's driver.
  child.on('error', () => {})
  createInterface({ input: child.stdout }).on('line', (line) => {
    const reading = parseReading(line)
    if (reading !== null) onReading(reading)
  })
  return { [Symbol.dispose]: () => void child.kill() }
}
