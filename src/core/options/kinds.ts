/**
 * The kinds of value that options have. Each carries its check, the words for what it expects, and its keywords in JSON Schema, so that messages,
 * `model.schema.json` and the reference come from one declaration.
 */

import { nearest } from './suggest.ts'

/** A fault, as a sentence that still needs to know where. Paths are only put together when something is wrong. */
export type Problem = (path: string) => string

/** Adds what is wrong with a value. */
export type Check = (value: unknown, problems: Problem[]) => void

/** Keywords of JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** The parts of a value, for code that walks the declarations. */
export type Form =
  /** `json` is `undefined` for what JSON cannot hold. */
  | { readonly is: 'value'; readonly test: (value: unknown) => boolean; readonly json: JsonSchema | undefined }
  | { readonly is: 'object'; readonly fields: Fields }
  | { readonly is: 'list'; readonly item: AnyKind; readonly json: JsonSchema }
  /** An object whose keys are the user's own. */
  | { readonly is: 'map'; readonly item: AnyKind; readonly names: AnyKind | undefined }
  | { readonly is: 'either'; readonly of: readonly AnyKind[] }

/** How `modelmount serve` takes an option. */
export interface Flag {
  /** Stands for the value in the usage; none for a flag that is there or not. */
  readonly value?: string
  readonly says: string
}

export interface AnyKind {
  readonly check: Check
  /** The expectation, as it follows "must be". */
  readonly says: string
  readonly form: Form
  readonly fallback: unknown
  readonly isRequired: boolean
  /** A layer of settings adds its keys to those below it, instead of replacing all. */
  readonly isJoined: boolean
  readonly flag: Flag | undefined
  /** Further keywords of JSON Schema, for what is checked beside the form. */
  readonly keywords: JsonSchema
}

export type Fields = Readonly<Record<string, AnyKind>>

declare const TYPE: unique symbol

/** Values of type `T`; `D` is the type of the default, `R` whether the option must be given. */
export interface Kind<T, D = undefined, R extends boolean = false> extends AnyKind {
  readonly fallback: D
  readonly isRequired: R
  /** Of both directions, so that a member that a union gains is missed here. */
  readonly [TYPE]?: (value: T) => T
  default<const V extends T>(value: V): Kind<T, V, R>
  required(): Kind<T, D, true>
  /** Checks more of a value that has the form. */
  refine(check: Check, keywords?: JsonSchema): Kind<T, D, R>
  joined(): Kind<T, D, R>
  asFlag(flag: Flag): Kind<T, D, R>
}

/** With or without a default, required or not. */
type Of<T> = Kind<T, unknown, boolean>

/** A declaration for each option of `T`, of its type and required where `T` requires it. */
export type Declared<T> = {
  readonly [K in keyof T]-?: Partial<Pick<T, K>> extends Pick<T, K>
    ? Kind<Exclude<T[K], undefined>, unknown, false>
    : Kind<T[K], unknown, true>
}

/** The values of declared options once defaults are in place. */
export type Decided<F> = {
  readonly [K in keyof F]: F[K] extends Kind<infer T, infer D, infer R>
    ? [D, R] extends [undefined, false]
      ? T | undefined
      : T
    : never
}

/** Every declared option, and nothing else: as given, or else by default. */
export function decided<F extends Fields>(fields: F, given: { readonly [K in keyof F]?: unknown }): Decided<F> {
  const entries = Object.entries(fields).map(([key, { fallback }]) => [key, given[key] ?? fallback])
  return Object.fromEntries(entries) as Decided<F>
}

/** The declared ones of some values. */
export const picked = <F extends Fields, T extends object>(fields: F, from: T): Pick<T, keyof F & keyof T> =>
  Object.fromEntries(Object.entries(from).filter(([key]) => Object.hasOwn(fields, key))) as Pick<T, keyof F & keyof T>

type Facts = Pick<AnyKind, 'check' | 'says' | 'form'>

const kind = <T>(facts: Facts): Kind<T> =>
  make({ fallback: undefined, isRequired: false, isJoined: false, flag: undefined, keywords: {}, ...facts })

function make<T, D, R extends boolean>(facts: AnyKind & { readonly fallback: D; readonly isRequired: R }): Kind<T, D, R> {
  return {
    ...facts,
    default: (fallback) => make({ ...facts, fallback }),
    required: () => make({ ...facts, isRequired: true }),
    refine: (more, keywords = {}) =>
      make({
        ...facts,
        keywords: { ...facts.keywords, ...keywords },
        check(value, problems) {
          facts.check(value, problems)
          if (isLike(value, facts.form)) more(value, problems)
        },
      }),
    joined: () => make({ ...facts, isJoined: true }),
    asFlag: (flag) => make({ ...facts, flag }),
  }
}

/** Whether a value is of this form and no other, whatever is inside. */
function isLike(value: unknown, form: Form): boolean {
  switch (form.is) {
    case 'value':
      return form.test(value)
    case 'list':
      return Array.isArray(value)
    case 'either':
      return form.of.some(({ form }) => isLike(value, form))
    default:
      return isPlainObject(value)
  }
}

export const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))

/** The given value, in a few words; no text of more than 60 characters. */
export const got = (value: unknown): string => {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  return typeof value === 'object' ? 'an object' : typeof value
}

/** Checks a part of a value, whose problems then say which one. */
export function checkPart(part: unknown, key: string | number, check: Check, problems: Problem[]): void {
  const before = problems.length
  check(part, problems)
  for (let i = before; i < problems.length; i++) {
    const inner = problems[i]
    problems[i] = (path) => inner?.(at(path, key)) ?? ''
  }
}

const at = (path: string, key: string | number): string =>
  typeof key === 'number' ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`

// ---------------------------------------------------------------- values

/** @param json keywords that say the same, where JSON can hold it */
export const scalar = <T>(says: string, test: (value: unknown) => boolean, json?: JsonSchema): Kind<T> =>
  kind({
    says,
    form: { is: 'value', test, json },
    check(value, problems) {
      if (!test(value)) problems.push((path) => `${path || 'options'} must be ${says}, got ${got(value)}`)
    },
  })

/** Values that JSON cannot hold, with a check of its own. */
export const special = <T>(says: string, check: Check): Kind<T> =>
  kind({ says, check, form: { is: 'value', test: () => true, json: undefined } })

const faultsOf = (check: Check, value: unknown): readonly Problem[] => {
  const problems: Problem[] = []
  check(value, problems)
  return problems
}

export const integer = (min: number, max: number): Kind<number> =>
  scalar(
    `an integer from ${min} to ${max}`,
    (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
    { type: 'integer', minimum: min, maximum: max },
  )

export const number = (min: number, max: number, of = ''): Kind<number> =>
  scalar(`a number ${of}from ${min} to ${max}`, (value) => typeof value === 'number' && value >= min && value <= max, {
    type: 'number',
    minimum: min,
    maximum: max,
  })

export const finite: Kind<number> = scalar('a finite number', Number.isFinite, { type: 'number' })

export const milliseconds: Kind<number> = scalar(
  'a number of milliseconds over 0',
  (value) => typeof value === 'number' && value > 0 && Number.isFinite(value),
  { type: 'number', exclusiveMinimum: 0 },
)

export const boolean: Kind<boolean> = scalar('true or false', (value) => typeof value === 'boolean', { type: 'boolean' })

export const text: Kind<string> = scalar('a string', (value) => typeof value === 'string', { type: 'string' })

/** @param says the kind of named thing, for example */
export const filled = (says = 'a string that is not empty'): Kind<string> =>
  scalar(says, (value) => typeof value === 'string' && value !== '', { type: 'string', minLength: 1 })

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

/** Of models, versions, labels and servers. */
export const name: Kind<string> = scalar(
  'a name of letters, digits, `.`, `_` or `-`, at most 128 long and starting with a letter or digit',
  (value) => typeof value === 'string' && NAME.test(value),
  { type: 'string', pattern: NAME.source },
)

const quoted = (value: unknown): string => (typeof value === 'string' ? `'${value}'` : String(value))

type Literal = string | boolean

/** The words and literals that it may be. */
export const oneOf = <const V extends readonly Literal[]>(...values: V): Kind<V[number]> =>
  scalar(
    values.every((value) => typeof value === 'string') && values.length > 1
      ? `one of ${values.map(quoted).join(', ')}`
      : [values.slice(0, -1).map(quoted).join(', '), quoted(values.at(-1))].filter((part) => part !== '').join(' or '),
    (value) => values.includes(value as Literal),
    values.length === 1 ? { const: values[0] } : { enum: values },
  )

// ---------------------------------------------------------------- what has parts

/** An object with these keys and no others. */
export function object<T>(fields: Declared<T>): Kind<T> {
  const known = new Map<string, AnyKind>(Object.entries<AnyKind>(fields))
  const required = [...known].flatMap(([key, { isRequired }]) => (isRequired ? [key] : []))
  return kind({
    says: known.size > 4 ? 'an object' : `{ ${[...known.keys()].join(', ')} }`,
    form: { is: 'object', fields: fields as Fields },
    check(value, problems) {
      if (!isPlainObject(value)) {
        problems.push((path) => `${path || 'options'} must be an object, got ${got(value)}`)
        return
      }
      for (const key of required) if (value[key] === undefined) problems.push((path) => `${at(path, key)} is missing`)
      for (const key of Object.keys(value)) {
        const field = known.get(key)
        if (!field) problems.push((path) => `${at(path, key)} is not an option; ${instead(key, [...known.keys()])}`)
        else if (value[key] !== undefined) checkPart(value[key], key, field.check, problems)
      }
    },
  })
}

function instead(key: string, known: readonly string[]): string {
  const near = nearest(key, known)
  return near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`
}

interface ListOptions {
  readonly min?: number
  readonly max?: number
  /** The kind of its elements. */
  readonly of?: string
}

export const list = <T>(item: Of<T>, { min = 0, max, of = 'elements' }: ListOptions = {}): Kind<readonly T[]> =>
  kind({
    says: 'an array',
    form: {
      is: 'list',
      item,
      json: { ...(min > 0 ? { minItems: min } : {}), ...(max === undefined ? {} : { maxItems: max }) },
    },
    check(value, problems) {
      if (!Array.isArray(value)) problems.push((path) => `${path} must be an array, got ${got(value)}`)
      else if (value.length < min) problems.push((path) => `${path} must not be empty`)
      else {
        for (const [index, element] of value.entries()) checkPart(element, index, item.check, problems)
        if (max !== undefined && value.length > max)
          problems.push((path) => `${path} must have at most ${max} ${of}, got ${value.length}`)
      }
    },
  })

/**
 * An object whose keys are names of the user's own.
 * @param names of which kind they must be. @default any
 */
export const map = <T>(item: Of<T>, names?: Kind<string>): Kind<Readonly<Record<string, T>>> =>
  kind({
    says: 'an object by name',
    form: { is: 'map', item, names },
    check(value, problems) {
      if (!isPlainObject(value)) {
        problems.push((path) => `${path} must be an object, got ${got(value)}`)
        return
      }
      for (const key of Object.keys(value)) {
        checkPart(value[key], key, item.check, problems)
        for (const fault of names ? faultsOf(names.check, key) : []) problems.push((path) => fault(`a name in ${path}`))
      }
    },
  })

/** The short form, or the long one. */
export const either = <A, B>(short: Of<A>, long: Of<B>): Kind<A | B> => {
  const says = `${short.says}, or ${long.says}`
  return kind({
    says,
    form: { is: 'either', of: [short, long] },
    check(value, problems) {
      if (isLike(value, long.form)) long.check(value, problems)
      else if (isLike(value, short.form)) short.check(value, problems)
      else problems.push((path) => `${path} must be ${says}, got ${got(value)}`)
    },
  })
}

/** Switched off by `false`. */
export const falseOr = <T>(long: Of<T>): Kind<T | false> =>
  kind({
    says: `false or ${long.says}`,
    form: { is: 'either', of: [oneOf(false), long] },
    check(value, problems) {
      if (value !== false) long.check(value, problems)
    },
  })

/** One of several objects, told apart by a key. */
export const variants = <T>(short: AnyKind, ...of: readonly AnyKind[]): Kind<T> =>
  kind({
    says: [short, ...of].map(({ says }) => says).join(' or '),
    form: { is: 'either', of: [short, ...of] },
    check(value, problems) {
      if (isLike(value, short.form)) return
      const has = of.find(
        ({ form }) =>
          form.is === 'object' && isPlainObject(value) && Object.keys(form.fields).some((key) => Object.hasOwn(value, key)),
      )
      ;(has ?? of[0] ?? short).check(value, problems)
    },
  })
