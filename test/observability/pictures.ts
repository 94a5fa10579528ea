import { DASHBOARDS } from '@darkroom/grafana'
import type { Panel } from '@darkroom/grafana'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import type { Prometheus, Sample } from './prometheus.ts'

/** Dashboards that the README shows, and how many of their lines of panels. */
const SHOWN: Readonly<Record<string, number>> = { 'darkroom-schedulers': 4, 'darkroom-overview': 12 }
/** That lines are drawn over. */
export const PICTURED_SECONDS = 180
const STEP_SECONDS = 1
const CELL = { width: 62, height: 30 }
const MARGIN = 6
const COLOURS = ['#73bf69', '#f2cc0c', '#5794f2', '#ff9830', '#b877d9', '#f2495c', '#8ab8ff', '#ffb357']
const INK = { page: '#111217', panel: '#181b1f', edge: '#2c3235', text: '#ccccdc', dim: '#8e8e9c' }

interface Series {
  readonly name: string
  readonly points: readonly (readonly [number, number])[]
}

/** Draws panels as Grafana does, from what Prometheus says: the pictures of the README. */
export async function drawPanels(prometheus: Prometheus, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true })
  for (const dashboard of DASHBOARDS) {
    const shown = SHOWN[dashboard.uid]
    if (shown === undefined) continue
    const panels = dashboard.rows.flatMap((row) => row.panels).slice(0, shown)
    const drawn: string[] = []
    let [x, y, lineHeight] = [0, 0, 0]
    for (const panel of panels) {
      if (x + panel.width > 24) [x, y, lineHeight] = [0, y + lineHeight, 0]
      const place = {
        x: x * CELL.width,
        y: y * CELL.height,
        width: panel.width * CELL.width,
        height: panel.height * CELL.height,
      }
      drawn.push(await draw(prometheus, panel, place))
      x += panel.width
      lineHeight = Math.max(lineHeight, panel.height)
    }
    const [width, height] = [24 * CELL.width, (y + lineHeight) * CELL.height]
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="DejaVu Sans, sans-serif"><rect width="100%" height="100%" fill="${INK.page}"/>${drawn.join('')}</svg>`
    await sharp(Buffer.from(svg))
      .png({ palette: true, colours: 64 })
      .toFile(path.join(folder, `${dashboard.uid}.png`))
  }
}

interface Place {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

async function draw(prometheus: Prometheus, panel: Panel, place: Place): Promise<string> {
  const series: Series[] = []
  for (const { expr, legend } of panel.queries) {
    const samples = await prometheus.queryRange(expr.replaceAll(/\$[a-z]+/g, '.*'), PICTURED_SECONDS, STEP_SECONDS)
    for (const sample of samples) series.push({ name: nameOf(legend, sample), points: pointsOf(sample) })
  }
  const inner = {
    x: place.x + MARGIN,
    y: place.y + MARGIN,
    width: place.width - 2 * MARGIN,
    height: place.height - 2 * MARGIN,
  }
  const frame = `<rect x="${inner.x}" y="${inner.y}" width="${inner.width}" height="${inner.height}" rx="3" fill="${INK.panel}" stroke="${INK.edge}"/>`
  const title = text(inner.x + 12, inner.y + 22, panel.title, 13, INK.text, 'font-weight="600"')
  return frame + title + (panel.kind === 'stat' ? figure(panel, series, inner) : chart(panel, series, inner))
}

function figure(panel: Panel, [first]: readonly Series[], { x, y, width, height }: Place): string {
  const value = first?.points.at(-1)?.[1]
  const shown = value === undefined ? '–' : format(value, panel)
  return text(x + width / 2, y + height / 2 + 24, shown, 32, COLOURS[0]!, 'text-anchor="middle" font-weight="600"')
}

function chart(panel: Panel, series: readonly Series[], { x, y, width, height }: Place): string {
  const legendRows = Math.min(series.length, 6)
  const [left, top, right, bottom] = [x + 56, y + 38, x + width - 14, y + height - 28 - legendRows * 15]
  const stacked = panel.isStacked ? stack(series) : series
  const values = stacked.flatMap(({ points }) => points.map(([, value]) => value))
  const most = panel.max ?? (Math.max(...values, 0) || 1) * 1.1
  const times = stacked.flatMap(({ points }) => points.map(([time]) => time))
  const [from, to] = [Math.min(...times), Math.max(...times)]
  const px = (time: number): number => left + ((time - from) / Math.max(1, to - from)) * (right - left)
  const py = (value: number): number => bottom - (Math.min(value, most) / most) * (bottom - top)
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = bottom - share * (bottom - top)
    return `<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" stroke="${INK.edge}"/>${text(left - 8, at + 4, format(share * most, panel), 10, INK.dim, 'text-anchor="end"')}`
  })
  // The topmost of a stack is drawn first.
  const drawn = stacked.map(({ points }, i) => {
    const line = points.map(([time, value]) => `${px(time).toFixed(1)},${py(value).toFixed(1)}`)
    const colour = COLOURS[i % COLOURS.length]!
    const area = `<polygon points="${px(points[0]?.[0] ?? from)},${bottom} ${line.join(' ')} ${px(points.at(-1)?.[0] ?? to)},${bottom}" fill="${colour}" fill-opacity="${panel.isStacked ? 0.35 : 0.08}"/>`
    return `${area}<polyline points="${line.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`
  })
  const legend = series.slice(0, 6).map(({ name, points }, i) => {
    const at = bottom + 30 + i * 15
    const last = points.at(-1)?.[1]
    return `<rect x="${left}" y="${at - 8}" width="12" height="3" fill="${COLOURS[i % COLOURS.length]}"/>${text(left + 18, at, name, 11, INK.text)}${text(right, at, last === undefined ? '' : format(last, panel), 11, INK.dim, 'text-anchor="end"')}`
  })
  return grid.join('') + (panel.isStacked ? drawn.toReversed() : drawn).join('') + legend.join('')
}

function stack(series: readonly Series[]): readonly Series[] {
  const sums = new Map<number, number>()
  return series.map(({ name, points }) => ({
    name,
    points: points.map(([time, value]) => {
      sums.set(time, (sums.get(time) ?? 0) + value)
      return [time, sums.get(time)!] as const
    }),
  }))
}

function pointsOf({ values = [] }: Sample): Series['points'] {
  return values.flatMap(([time, value]) => {
    const number = Number(value)
    return Number.isFinite(number) ? [[time, number] as const] : []
  })
}

function nameOf(legend: string, { metric }: Sample): string {
  return legend.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? '')
}

function format(value: number, { unit, decimals }: Panel): string {
  if (unit === 'percentunit') return `${(100 * value).toFixed(decimals ?? (value < 0.1 && value > 0 ? 1 : 0))} %`
  if (unit === 's')
    return value < 1 ? `${Number((1000 * value).toPrecision(3))} ms` : `${Number(value.toPrecision(3))} s`
  if (unit === 'bytes') return `${(value / 2 ** 20).toFixed(0)} MiB`
  return decimals === undefined ? String(Number(value.toPrecision(3))) : value.toFixed(decimals)
}

function text(x: number, y: number, content: string, size: number, colour: string, rest = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x}" y="${y}" font-size="${size}" fill="${colour}" ${rest}>${escaped}</text>`
}
