/** Flags of `serve` that are options of the server, of its models or of its mount: made from their declarations. */

import { MOUNT_OPTIONS } from '../core/http/index.ts'
import type { MountOptions } from '../core/http/types.ts'
import { MODEL_SETTINGS, SERVER_OPTIONS } from '../core/options/index.ts'
import type { AnyKind, Fields, Flag } from '../core/options/kinds.ts'
import type { ModelServerOptions } from '../core/server/types.ts'
import { UsageError, wholeNumber } from './command.ts'

interface DeclaredFlag {
  /** Of the option. */
  readonly key: string
  readonly name: string
  readonly kind: AnyKind
  readonly flag: Flag
  /** As the usage shows it; none for what is there or not. */
  readonly standard: string | undefined
}

const flagsOf = (fields: Fields, standardOf: (kind: AnyKind) => string): readonly DeclaredFlag[] =>
  Object.entries(fields).flatMap(([key, kind]) => {
    const { flag } = kind
    if (!flag) return []
    const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    return { key, name, kind, flag, standard: flag.value === undefined ? undefined : standardOf(kind) }
  })

// Without a flag, the files of each model decide.
const MODEL_FLAGS = flagsOf(MODEL_SETTINGS, () => ": the model's own")
const MOUNT_FLAGS = flagsOf(MOUNT_OPTIONS, ({ fallback }) => ` ${String(fallback)}`)
const SERVER_FLAGS = flagsOf(SERVER_OPTIONS, ({ fallback }) => ` ${String(fallback)}`)
const ALL = [...MODEL_FLAGS, ...MOUNT_FLAGS, ...SERVER_FLAGS]

/** For `parse()`. */
export const DECLARED_FLAGS: Readonly<Record<string, { readonly type: 'string' | 'boolean' }>> = Object.fromEntries(
  ALL.map(({ name, flag }) => [name, { type: flag.value === undefined ? 'boolean' : 'string' } as const]),
)

type Values = Readonly<Record<string, unknown>>

/** @throws UsageError */
export const serverOptionsFrom = (values: Values): ModelServerOptions => optionsFrom(values, [...MODEL_FLAGS, ...SERVER_FLAGS])

/** @throws UsageError */
export const mountOptionsFrom = (values: Values): MountOptions => optionsFrom(values, MOUNT_FLAGS)

const optionsFrom = (values: Values, flags: readonly DeclaredFlag[]): object =>
  Object.fromEntries(
    flags.flatMap(({ key, name, kind }) => {
      const given = values[name]
      return given === undefined ? [] : [[key, typeof given === 'string' ? read(given, kind, `--${name}`, 'be') : given]]
    }),
  )

function read(text: string, { form }: AnyKind, name: string, verb: 'be' | 'be of'): unknown {
  if (form.is === 'list') return text.split(',').map((item) => read(item, form.item, name, 'be of'))
  const [short] = form.is === 'either' ? form.of : []
  if (short) return read(text, short, name, verb)
  const { minimum, maximum, enum: words } = (form.is === 'value' && form.json) || {}
  if (typeof minimum === 'number' && typeof maximum === 'number') return wholeNumber(text, name, minimum, maximum)
  if (form.is !== 'value' || form.test(text)) return text
  const known = Array.isArray(words) ? words : []
  throw new UsageError(`${name} must ${verb} ${known.join(verb === 'be' && known.length === 2 ? ' or ' : ', ')}, got '${text}'`)
}

const INDENT = 22
const WIDTH = 80

/** The lines of the usage. */
export const DECLARED_USAGE = ALL.map(({ name, kind, flag, standard }) => {
  const words = kind.form.is === 'list' && kind.form.item.form.is === 'value' ? kind.form.item.form.json?.enum : undefined
  const says = Array.isArray(words) ? `${flag.says}: ${words.join(', ')}` : flag.says
  const head = `  --${name}${flag.value === undefined ? '' : ` ${flag.value}`}`.padEnd(INDENT)
  return head + wrapped(standard === undefined ? says : `${says} (default${standard})`)
}).join('\n')

function wrapped(text: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line.length + word.length + 1 > WIDTH - INDENT) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join(`\n${' '.repeat(INDENT)}`)
}
