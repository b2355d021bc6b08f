/** Draws what the dashboard's panels showed in a run of `test/interop/prometheus.mjs`: node tools/draw-dashboard.mjs docs/dashboard.svg */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const COLUMN = 50
const ROW = 26
const GAP = 8
const COLOURS = ['#3b7dd8', '#e07b39', '#2f9e6e', '#c2475b', '#8a63c9', '#b59b1c', '#4a98a8', '#7a7f87']

const { answers, from, to, prometheus } = JSON.parse(
  readFileSync(fileURLToPath(new URL('../.interop/dashboard.json', import.meta.url)), 'utf8'),
)

const escaped = (text) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)
const text = (x, y, content, { size = 11, fill = '#4b5058', anchor = 'start', weight = 400 } = {}) =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" fill="${fill}" text-anchor="${anchor}" font-weight="${weight}">${escaped(content)}</text>`

function shown(value, unit) {
  if (unit === 's') return value < 1 ? `${Number((value * 1000).toPrecision(2))} ms` : `${Number(value.toPrecision(2))} s`
  if (unit === 'percentunit') return `${Number((value * 100).toPrecision(2))} %`
  if (unit === 'bytes')
    return value >= 1e6 ? `${Number((value / 1e6).toPrecision(3))} MB` : `${Number((value / 1e3).toPrecision(3))} kB`
  const rate = unit === 'reqps' || unit === 'ops' ? '/s' : ''
  return `${Number(value.toPrecision(3))}${rate}`
}

/** A round number at or above the largest value. */
function ceiling(value) {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return power * ([1, 1.5, 2, 3, 4, 5, 7.5, 10].find((step) => step * power >= value) ?? 10)
}

/** Each series on top of those before it, at the times of the first. */
function stackedUp(series) {
  const sums = new Map()
  return series.map(({ name, values }) => ({
    name,
    values: values.map(([at, value]) => {
      const sum = (sums.get(at) ?? 0) + value
      sums.set(at, sum)
      return [at, sum]
    }),
  }))
}

function stat({ x, y, width, height }, { series, unit }) {
  const value = series[0]?.values.at(-1)?.[1]
  const label = value === undefined ? '-' : shown(value, unit)
  return text(x + width / 2, y + height / 2 + 20, label, { size: 26, anchor: 'middle', fill: '#1f2328', weight: 600 })
}

function chart({ x, y, width, height }, { series, unit, stacked }) {
  const lines = stacked ? stackedUp(series) : series
  const box = { left: x + 52, right: x + width - 10, top: y + 30, bottom: y + height - 34 }
  const top = ceiling(Math.max(...lines.flatMap(({ values }) => values.map(([, value]) => value))))
  const px = (at) => box.left + ((at - from) / (to - from)) * (box.right - box.left)
  const py = (value) => box.bottom - (value / top) * (box.bottom - box.top)
  const parts = []
  for (const share of [0, 0.5, 1]) {
    parts.push(`<path d="M${box.left} ${py(share * top).toFixed(1)}H${box.right}" stroke="#e3e5e8"/>`)
    parts.push(text(box.left - 6, py(share * top) + 4, shown(share * top, unit), { size: 10, anchor: 'end', fill: '#7a7f87' }))
  }
  for (const [index, { values }] of [...lines.entries()].reverse()) {
    const path = values.map(([at, value], i) => `${i === 0 ? 'M' : 'L'}${px(at).toFixed(1)} ${py(value).toFixed(1)}`).join('')
    const colour = COLOURS[index % COLOURS.length]
    if (stacked && values.length > 1) {
      const area = `${path}L${px(values.at(-1)[0]).toFixed(1)} ${box.bottom}L${px(values[0][0]).toFixed(1)} ${box.bottom}Z`
      // White first, so that the area below another one keeps its own colour.
      parts.push(`<path d="${area}" fill="#fff"/><path d="${area}" fill="${colour}" fill-opacity="0.55"/>`)
    }
    parts.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.6" stroke-linejoin="round"/>`)
  }
  let at = x + 12
  for (const [index, { name }] of series.entries()) {
    const label = name.replace(/ ?127\.0\.0\.1:\d+/, '')
    const wide = 20 + [...label].reduce((sum, char) => sum + (/[A-Z_]/.test(char) ? 7.2 : 6), 0)
    if (label === '' || at + wide > x + width) continue
    parts.push(
      `<rect x="${at.toFixed(1)}" y="${y + height - 17}" width="10" height="4" fill="${COLOURS[index % COLOURS.length]}"/>`,
    )
    parts.push(text(at + 14, y + height - 11, label, { size: 10 }))
    at += wide
  }
  return parts.join('')
}

// Queries of one panel are one panel's series.
const panels = new Map()
for (const answer of answers) {
  const known = panels.get(answer.title)
  if (known) known.series.push(...answer.series)
  else panels.set(answer.title, { ...answer, series: [...answer.series] })
}

// Rows of Grafana's grid that hold only a heading are left out.
const rows = [...new Set([...panels.values()].map(({ gridPos }) => gridPos.y))].sort((a, b) => a - b)
const tops = new Map()
let bottom = 34
for (const y of rows) {
  tops.set(y, bottom)
  bottom += Math.max(...[...panels.values()].filter(({ gridPos }) => gridPos.y === y).map(({ gridPos }) => gridPos.h)) * ROW
}

const drawn = [...panels.values()].map((panel) => {
  const { gridPos, title, type } = panel
  const place = {
    x: gridPos.x * COLUMN + GAP / 2,
    y: tops.get(gridPos.y) + GAP / 2,
    width: gridPos.w * COLUMN - GAP,
    height: gridPos.h * ROW - GAP,
  }
  const frame = `<rect x="${place.x}" y="${place.y}" width="${place.width}" height="${place.height}" rx="4" fill="#fff" stroke="#d5d8dc"/>`
  const heading = text(place.x + 12, place.y + 19, title, { size: 12, weight: 600, fill: '#1f2328' })
  return frame + heading + (type === 'stat' ? stat(place, panel) : chart(place, panel))
})
const width = 24 * COLUMN
const caption = `modelmount: ${Math.round(to - from)} s of load on the example app, as Prometheus ${prometheus} answered the dashboard's queries`
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + GAP}" font-family="system-ui, sans-serif" role="img" aria-label="${escaped(caption)}"><rect width="100%" height="100%" fill="#f4f5f6"/>${text(12, 22, caption, { size: 13, weight: 600, fill: '#1f2328' })}${drawn.join('')}</svg>\n`
writeFileSync(process.argv[2] ?? 'docs/dashboard.svg', svg)
