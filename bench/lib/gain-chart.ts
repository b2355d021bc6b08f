/** The picture of the gain curve: rows per second against rows per run, both logarithmic, one curve per model. */

import { fit, type Law } from './fit.ts'
import { element, line, path, svg, text } from './svg.ts'

export interface Series {
  readonly name: string
  /** Milliseconds of a run, by its rows; 1 is one of the sizes. */
  readonly runMs: ReadonlyMap<number, number>
  /** Most rows that modelmount joins; 1 where it does not batch. */
  readonly cap: number
}

const SIZE = { width: 860, height: 500 }
const PLOT = { left: 92, top: 58, right: 590, bottom: 404 }
const LABEL_HEIGHT = 38
/** Told apart by people who do not see all colours, on white and on black. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#b8599a', '#8a7400']
const COLOURS_DARK = ['#56b4e9', '#f0883e', '#3fcf9f', '#e39ac8', '#e3c53a']

const CSS = `
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}.quiet{fill:#59636e}.name{font-weight:600}
.grid{stroke:#d1d9e0;stroke-width:1}.curve{stroke-width:2}.point,.ring{stroke-width:2}.ring{fill:none}
.back{fill:#fff}
${COLOURS.map((colour, i) => `.c${i}{stroke:${colour}}text.c${i},.point.c${i}{fill:${colour}}text.c${i}{stroke:none}`).join('')}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.quiet{fill:#9198a1}.grid{stroke:#30363d}.back{fill:#0d1117}
${COLOURS_DARK.map((colour, i) => `.c${i}{stroke:${colour}}text.c${i},.point.c${i}{fill:${colour}}`).join('')}
}
`

/** Rows per second of runs of so many rows, when each takes so long. */
const rate = (rows: number, ms: number): number => (rows * 1000) / ms
const lawMs = ({ baseMs, perRowMs }: Law, rows: number): number => baseMs + perRowMs * rows

const ratesOf = ({ runMs }: Series): readonly (readonly [rows: number, rate: number])[] =>
  [...runMs].map(([rows, ms]) => [rows, rate(rows, ms)])

/** Times the rows per second of one row per run, at best. */
export function gainOf(series: Series): number {
  const single = series.runMs.get(1) ?? Number.NaN
  return Math.max(...[...series.runMs].map(([rows, ms]) => (rows * single) / ms))
}

/** Small factors need the digit behind the point, large ones do not have it. */
export const times = (factor: number): string => `${factor.toFixed(factor < 10 ? 1 : 0)}×`

const significant = (value: number): string => String(Number(value.toPrecision(2)))
const short = (value: number): string =>
  value >= 1e6 ? `${value / 1e6} million` : value >= 1000 ? `${(value / 1000).toLocaleString('en')},000` : String(value)

export function gainChart(all: readonly Series[]): string {
  const rates = all.flatMap((series) => ratesOf(series).map(([, perSecond]) => perSecond))
  const maxRows = Math.max(...all.flatMap(({ runMs }) => [...runMs.keys()]))
  const [low, high] = [Math.floor(Math.log10(Math.min(...rates))), Math.ceil(Math.log10(Math.max(...rates)))]
  const x = (rows: number): number => PLOT.left + (Math.log2(rows) / Math.log2(maxRows)) * (PLOT.right - PLOT.left)
  const y = (perSecond: number): number => PLOT.bottom - ((Math.log10(perSecond) - low) / (high - low)) * (PLOT.bottom - PLOT.top)

  const axes: string[] = []
  for (let power = low; power <= high; power++) {
    const at = y(10 ** power)
    axes.push(line(PLOT.left, at, PLOT.right, at, { class: 'grid' }))
    axes.push(text({ x: PLOT.left - 12, y: at + 4, 'text-anchor': 'end', class: 'quiet' }, short(10 ** power)))
  }
  for (let rows = 1; rows <= maxRows; rows *= 2) {
    axes.push(line(x(rows), PLOT.top, x(rows), PLOT.bottom, { class: 'grid' }))
    axes.push(text({ x: x(rows), y: PLOT.bottom + 18, 'text-anchor': 'middle', class: 'quiet' }, String(rows)))
  }

  const labels = spread(all.map((series) => y(ratesOf(series).at(-1)?.[1] ?? 1)))
  const curves = all.flatMap((series, i) => curveOf(series, i, x, y, labels[i] ?? 0))
  const middle = (PLOT.left + PLOT.right) / 2
  return svg(SIZE, `Rows per second against rows per run for ${all.length} models`, CSS, [
    element('rect', { ...SIZE, class: 'back', rx: 6 }),
    text({ x: PLOT.left, y: 26, class: 'title' }, 'What batching gains, and when it gains nothing'),
    text({ x: PLOT.left, y: 46, class: 'quiet' }, 'rows per second on one thread'),
    text({ x: middle, y: PLOT.bottom + 40, 'text-anchor': 'middle', class: 'quiet' }, 'rows per run (batch size)'),
    text(
      { x: PLOT.left, y: PLOT.bottom + 66, class: 'quiet' },
      'Points: measured, shortest of many runs. Lines: the fitted cost of a run of n rows, t(n) = a + b·n milliseconds.',
    ),
    text(
      { x: PLOT.left, y: PLOT.bottom + 84, class: 'quiet' },
      'Rings: the batch size that modelmount chose by itself. Factors: rows per second at best, against one row per run.',
    ),
    ...axes,
    ...curves,
  ])
}

function curveOf(
  series: Series,
  index: number,
  x: (rows: number) => number,
  y: (rate: number) => number,
  labelY: number,
): string[] {
  const law = fit(series.runMs)
  const colour = `c${index}`
  const measured = ratesOf(series)
  const last = measured.at(-1)?.[0] ?? 1
  const steps = Array.from({ length: 49 }, (_, i) => last ** (i / 48))
  const chosen = measured.find(([rows]) => rows === series.cap)
  const end = measured.at(-1) ?? [1, 1]
  return [
    path(
      steps.map((rows) => [x(rows), y(rate(rows, lawMs(law, rows)))]),
      { class: `curve ${colour}` },
    ),
    ...measured.map(([rows, perSecond]) => element('circle', { cx: x(rows), cy: y(perSecond), r: 3, class: `point ${colour}` })),
    ...(chosen ? [element('circle', { cx: x(chosen[0]), cy: y(chosen[1]), r: 8, class: `ring ${colour}` })] : []),
    line(x(end[0]) + 10, y(end[1]), PLOT.right + 16, labelY, { class: colour, 'stroke-dasharray': '2 3' }),
    text({ x: PLOT.right + 22, y: labelY - 3, class: `name ${colour}` }, `${series.name}: ${times(gainOf(series))}`),
    text(
      { x: PLOT.right + 22, y: labelY + 12, class: 'quiet' },
      `t(n) = ${significant(law.baseMs)} + ${significant(law.perRowMs)}·n`,
    ),
  ]
}

/** Heights of labels near those wanted, none over another. */
function spread(wanted: readonly number[]): number[] {
  const order = wanted.map((at, i) => ({ at, i })).sort((a, b) => a.at - b.at)
  const result: number[] = []
  let free = PLOT.top + 6
  for (const { at, i } of order) {
    result[i] = Math.max(at, free)
    free = (result[i] ?? 0) + LABEL_HEIGHT
  }
  // Back up again where the last ones were pushed out of the picture.
  let most = PLOT.bottom - 8
  for (const { i } of order.reverse()) {
    result[i] = Math.min(result[i] ?? 0, most)
    most = (result[i] ?? 0) - LABEL_HEIGHT
  }
  return result
}
