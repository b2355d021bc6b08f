/** The declaration file: sorted, commented, the same for the same models. Names of a model file never leave their quotes or comments. */

import { printable } from '../../core/host/printable.ts'
import type { Dim, LeftOutput, ValueInfo } from '../../core/tensor/types.ts'
import type { Collected, ModelEntry } from './collect.ts'

/** In quotes, and apart from the statement: tools that look for imports would take it for one of ours. */
const PACKAGE = "'modelmount'"

const HEADER = `/**
 * What the models take and give, for predict() of modelmount.
 * Written by \`modelmount typegen\`; a change here is lost with the next run.
 */

import type { TypedInput, TypedTensor } from ${PACKAGE}

declare module ${PACKAGE} {
  interface ModelTypes {
`
const FOOTER = '  }\n}\n'
const MAX_COMMENT_CHARS = 200

export function render({ models, skipped }: Collected): string {
  const left = skipped.map(({ name, reason }) => `    // ${comment(name)} is left out: ${comment(reason)}\n`)
  const isOpen = models.some(({ signature }) => signature.outputs.some(({ type }) => type === undefined))
  const header = isOpen ? HEADER.replace('import type { ', 'import type { DType, ') : HEADER
  return `${header}${models.map(member).join('')}${left.join('')}${FOOTER}`
}

function member({ name, version, others, doc, signature }: ModelEntry): string {
  const also = others.length > 0 ? `; also served: ${others.map(comment).join(', ')}` : ''
  return [
    `    /** Version ${comment(version)}${also}.${doc ? ` ${comment(doc)}` : ''} */`,
    `    ${key(name)}: {`,
    ...section('inputs', signature.inputs, 'TypedInput'),
    ...section('outputs', signature.outputs, 'TypedTensor', signature.leftOut),
    '    }',
    '',
  ].join('\n')
}

function section(title: string, values: readonly ValueInfo[], type: string, leftOut: readonly LeftOutput[] = []): string[] {
  const left = leftOut.map(({ name, reason }) => `        // ${comment(name)} is left out: ${comment(reason)}`)
  const lines = values.flatMap((value) => {
    const { name, dims, declaredType, doc, optional } = value
    const text = `${declaredType === 'undeclared' ? 'known once it is loaded,' : declaredType} ${shape(dims)}${doc ? `: ${doc}` : ''}`
    return [
      `        /** ${comment(text)} */`,
      `        ${key(name)}${optional ? '?' : ''}: ${type}<${value.type === undefined ? 'DType' : `'${value.type}'`}, ${tuple(dims)}>`,
    ]
  })
  const all = [...lines, ...left]
  return all.length === 0 ? [`      ${title}: {}`] : [`      ${title}: {`, ...all, '      }']
}

const tuple = (dims: readonly Dim[] | undefined): string =>
  dims === undefined ? 'number[]' : `[${dims.map((dim) => (typeof dim === 'number' ? dim : 'number')).join(', ')}]`

const shape = (dims: readonly Dim[] | undefined): string =>
  dims === undefined ? 'of any shape' : `[${dims.map((dim) => dim ?? '?').join(', ')}]`

/** Characters that end a line of TypeScript, or that an editor would hide or obey. */
const RAW = /[\x7f-\x9f]|\p{Cf}|\p{Zl}|\p{Zp}/gu

/** A name as a property; everything but plain identifiers in quotes. */
function key(name: string): string {
  if (/^[A-Za-z_$][\w$]*$/.test(name)) return name
  const inside = JSON.stringify(name).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")
  const escaped = inside.replace(RAW, (char) =>
    char
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
  return `'${escaped}'`
}

/** Text that cannot end its comment, nor its line. */
function comment(text: string): string {
  const line = printable(text).replaceAll('*/', '*\\/')
  return line.length <= MAX_COMMENT_CHARS ? line : `${line.slice(0, MAX_COMMENT_CHARS)}…`
}
