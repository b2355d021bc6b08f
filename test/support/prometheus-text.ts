/** Reads Prometheus' text format as strictly as `promtool check metrics`: each family once and in one piece, each series once. */

export interface Family {
  readonly type: string
  /** Series, with its labels in the order of their names, and its number. */
  readonly samples: ReadonlyMap<string, number>
}

const COMMENT = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*)(?: (.*))?$/
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/y

/** @throws where Prometheus would refuse the text, or keep one of two numbers */
export function familiesOf(text: string): ReadonlyMap<string, Family> {
  const families = new Map<string, { type: string; samples: Map<string, number> }>()
  const described = new Set<string>()
  let current: string | undefined
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const [, comment, family = '', rest = ''] = COMMENT.exec(line) ?? []
    if (comment !== undefined) {
      if (described.has(`${comment} ${family}`)) throw new Error(`second ${comment} line for ${family}`)
      described.add(`${comment} ${family}`)
      if (comment === 'TYPE') families.set(family, { type: rest, samples: new Map() })
      current = family
      continue
    }
    // Any other comment is one: `UNIT` is of OpenMetrics.
    if (line.startsWith('#')) continue
    const [, name = '', labels = '', value = ''] = SAMPLE.exec(line) ?? []
    const owner = current === undefined ? undefined : families.get(current)
    const isOwn =
      owner && (name === current || (owner.type === 'histogram' && name.replace(/_(bucket|sum|count)$/, '') === current))
    if (!isOwn) throw new Error(`not a sample of ${current}: ${line}`)
    const series = `${name}{${labelsOf(labels).sort().join()}}`
    if (owner.samples.has(series)) throw new Error(`second sample of ${series}`)
    owner.samples.set(series, value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value))
  }
  return families
}

function labelsOf(text: string): string[] {
  const labels: string[] = []
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < text.length) {
    const [whole, name, value] = LABEL.exec(text) ?? []
    if (whole === undefined) throw new Error(`not a list of labels: ${text}`)
    labels.push(`${name}="${value}"`)
  }
  return labels
}
