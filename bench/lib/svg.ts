/** SVG as text: elements with attributes, escaped. */

type Attributes = Readonly<Record<string, string | number>>

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => ESCAPES[character] ?? character)

/** Coordinates to a tenth: more digits only make the file longer. */
const shown = (value: string | number): string =>
  typeof value === 'number' ? String(Math.round(value * 10) / 10) : escaped(value)

const opening = (name: string, attributes: Attributes): string =>
  `<${name}${Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${shown(value)}"`)
    .join('')}`

export function element(name: string, attributes: Attributes, children: readonly string[] = []): string {
  return children.length === 0 ? `${opening(name, attributes)}/>` : `${opening(name, attributes)}>${children.join('')}</${name}>`
}

export const text = (attributes: Attributes, content: string): string => element('text', attributes, [escaped(content)])

export const line = (x1: number, y1: number, x2: number, y2: number, attributes: Attributes = {}): string =>
  element('line', { x1, y1, x2, y2, ...attributes })

/** A path through points. */
export function path(points: readonly (readonly [number, number])[], attributes: Attributes): string {
  const d = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${shown(x)} ${shown(y)}`).join('')
  return element('path', { d, fill: 'none', ...attributes })
}

/** A whole picture, described for those who do not see it. */
export function svg(
  size: { readonly width: number; readonly height: number },
  title: string,
  css: string,
  children: readonly string[],
): string {
  const { width, height } = size
  const root = element(
    'svg',
    { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img' },
    [
      '\n',
      element('title', {}, [escaped(title)]),
      element('style', {}, [css]),
      '\n',
      ...children.flatMap((child) => [child, '\n']),
    ],
  )
  return `${root}\n`
}
