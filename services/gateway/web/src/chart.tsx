import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { useSize } from './hooks.ts'

/** A line of a chart: one value for each time, null where there is none. */
export interface Line {
  readonly label: string
  readonly values: readonly (number | null)[]
}

const COLOURS = ['#e5484d', '#f5a524', '#3fb6a8', '#7c8cf8', '#c084d8', '#8fbf5a', '#e58fb0', '#6fb1e0']
const HEIGHT = 220
const SHORTEST_SECONDS = 60

export function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length]!
}

function clock(time: number): string {
  return new Date(time * 1000).toLocaleTimeString('en-GB')
}

/** Lines over time, stacked. @param props.times Unix seconds */
export function StackedChart(props: { label: string; times: readonly number[]; lines: readonly Line[] }) {
  const { element, width } = useSize<HTMLDivElement>()
  const plot = useRef<uPlot | null>(null)
  const names = props.lines.map(({ label }) => label).join('|')
  useEffect(() => {
    if (width === 0) return undefined
    const style = getComputedStyle(document.documentElement)
    const ink = style.getPropertyValue('--quiet').trim()
    const edge = style.getPropertyValue('--edge').trim()
    const axis = { stroke: ink, grid: { stroke: edge, width: 1 }, ticks: { show: false }, font: '11px system-ui' }
    const made = new uPlot(
      {
        width,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false },
        scales: {
          x: { range: (_, min, max) => [Math.min(min, max - SHORTEST_SECONDS), max] },
          y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
        },
        axes: [
          { ...axis, space: 80, incrs: [5, 10, 15, 30, 60, 120, 300, 600], values: (_, times) => times.map(clock) },
          { ...axis, size: 44 },
        ],
        series: [
          {},
          ...props.lines.map(({ label }, i) => ({
            label,
            stroke: colourOf(i),
            fill: `${colourOf(i)}33`,
            width: 1.5,
            points: { show: false },
          })),
        ],
      },
      dataOf(props),
      element.current!,
    )
    plot.current = made
    return () => made.destroy()
  }, [names, width])
  useEffect(() => plot.current?.setData(dataOf(props)), [props.times, props.lines])
  const last = props.lines.map(({ label, values }) => `${label} ${values.at(-1)?.toFixed(2) ?? 'nothing'}`)
  return <div ref={element} class="chart" role="img" aria-label={`${props.label}: ${last.join(', ')}`} />
}

function dataOf({ times, lines }: { times: readonly number[]; lines: readonly Line[] }): uPlot.AlignedData {
  const sums = times.map(() => 0)
  const stacked = lines.map(({ values }) => values.map((value, i) => (value === null ? null : (sums[i]! += value))))
  return [[...times], ...stacked] as uPlot.AlignedData
}
