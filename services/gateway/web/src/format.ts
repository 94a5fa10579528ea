/** Figures as people read them. */
export function count(value: number): string {
  return value.toLocaleString('en')
}

export function rate(value: number): string {
  return value === 0 ? '0' : value < 10 ? value.toFixed(2) : value.toFixed(0)
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`
}

export function seconds(value: number | null): string {
  if (value === null) return '–'
  if (value === 0) return '0 s'
  if (value < 0) return `−${seconds(-value)}`
  if (value < 1) return `${Math.round(1000 * value)} ms`
  if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)} s`
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`
  return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = value === 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  return `${(value / 1024 ** power).toFixed(power < 2 ? 0 : 1)} ${units[power]}`
}

export function ago(time: string | null): string {
  if (time === null) return '–'
  const past = (Date.now() - Date.parse(time)) / 1000
  if (past < 5) return 'just now'
  if (past < 90) return `${Math.round(past)} s ago`
  if (past < 5400) return `${Math.round(past / 60)} min ago`
  if (past < 129_600) return `${Math.round(past / 3600)} h ago`
  return new Date(time).toLocaleDateString()
}

/** emoji-sd of emoji-sd@sha256:…, with a few digits where two may share the name. */
export function checkpointName(pin: string): string {
  return pin.split('@')[0]!
}

/** EulerDiscrete of EulerDiscreteScheduler. */
export function schedulerName(name: string): string {
  return name.replace(/Scheduler$/, '')
}

/** Whether an index is among runs of them as the gateway writes them: 3,5-10. */
export function isAmong(runs: string | null, index: number): boolean {
  return (runs ?? '').split(',').some((run) => {
    const [first, last = first] = run.split('-')
    return run !== '' && Number(first) <= index && index <= Number(last)
  })
}
