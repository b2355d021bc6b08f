/** Options of a model itself: its file, its name, and its tensors as requests see them. */

import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  boolean,
  type Check,
  type Declared,
  decided,
  got,
  integer,
  list,
  map,
  milliseconds,
  name,
  object,
  oneOf,
  special,
  text,
} from '../options/kinds.ts'
import { ensure } from '../options/refuse.ts'
import { dtype, sizes } from '../tensor/options.ts'
import type { DType } from '../tensor/types.ts'

/** Where a model comes from: a path, a `file:` URL, or the bytes of an `.onnx` file (self-contained, no external data). */
export type ModelSource = string | URL | Uint8Array

/** How a model's file is taken, how long it stays in memory, and the largest requests that it takes. */
export interface FileOptions {
  /**
   * Let instances map one file of ready-packed weights, in this process and in others, instead of each holding a copy. `'auto'` does it for
   * several instances of a model file with at least 16 MiB of weights on the `cpu` provider, where it was measured to cost no speed; `true`
   * whenever the answers are the same. Takes disk space in `cacheDirectory`, about twice the weights.
   * @default 'auto'
   */
  readonly shareWeights?: boolean | 'auto'
  /** Milliseconds without a request after which the model leaves memory; the next request loads it again. @default never */
  readonly idleUnloadMs?: number
  /** Largest tensor, in elements, that one input may have. @default 67108864 (2^26) */
  readonly maxElements?: number
  /** Accept `.ort` files, whose graph cannot be read before ONNX Runtime loads it. @default false */
  readonly allowOrtFormat?: boolean
  /**
   * Most rows of one request: sizes of the first dimension of inputs where the graph leaves it open. More are refused with `INPUT_INVALID`.
   * @default no bound but `maxElements`
   */
  readonly maxBatch?: number
}

/** How requests see one input or output, where that differs from the graph. A contradiction to the graph fails the load. */
export interface ValueSettings {
  /** Must be the graph's own; a check that the right file is there. @default the graph's own */
  readonly type?: DType
  /** Sizes that requests use, rows included; -1 for any. Numbers narrow what the graph leaves open. @default as the graph says */
  readonly dims?: readonly number[]
  /** The sizes that the graph takes or gives instead of `dims`: the same elements, and a -1 for each -1 of `dims`, in order. @default `dims` */
  readonly reshape?: readonly number[]
  /** Inputs only: a request may leave it out. The graph must have a default for it. @default as the graph says */
  readonly optional?: boolean
  /**
   * Inputs only: whether its floats may be NaN or infinite, missing values (`null` in JSON) among them. `'reject'` refuses them with
   * `INPUT_INVALID`, in every encoding and in `predict()`.
   * @default 'allow'
   */
  readonly nonFinite?: 'allow' | 'reject'
}

/** Facts about one model that no other has. */
export interface OwnOptions {
  /** By name of the input: how requests see it. @default {} */
  readonly inputs?: Readonly<Record<string, ValueSettings>>
  /** By name of the output: how requests see it. @default {} */
  readonly outputs?: Readonly<Record<string, ValueSettings>>
  /** By name of the output: the meanings of its elements, in order, for answers in words (classification). @default none */
  readonly labels?: Readonly<Record<string, readonly string[]>>
  /** Facts about the model for people and tools, added to the ones in its file. @default {} */
  readonly metadata?: Readonly<Record<string, string>>
}

/** The file of a model, and the name that it is served under. */
export interface ModelIdentity {
  /** Letters, digits, `.`, `_`, `-`; at most 128 characters, starting with a letter or digit. */
  readonly name: string
  /** Opaque; digits sort as numbers. @default '1' */
  readonly version?: string
  /** The model: a path, a `file:` URL, or the bytes of the file. */
  readonly source: ModelSource
}

/** How one version is loaded. */
export interface LoadOptions {
  /**
   * Where the bytes of models are known (`ModelInfo.manifestId`), a name and version stands for the same ones for as long as it is loaded:
   * others are refused with `MODEL_CONFLICT`, unless this is `true`.
   * @default false
   */
  readonly replace?: boolean
}

export const FILE_OPTIONS = {
  shareWeights: oneOf(true, false, 'auto').default('auto'),
  idleUnloadMs: milliseconds,
  maxElements: integer(1, 2 ** 40).default(2 ** 26),
  allowOrtFormat: boolean.default(false),
  maxBatch: integer(1, 2 ** 32 - 1),
} satisfies Declared<FileOptions>

const reshapeNeedsDims: Check = (value, problems) => {
  const { reshape, dims } = value as ValueSettings
  if (reshape !== undefined && dims === undefined)
    problems.push((path) => `${path}.reshape needs ${path}.dims, the sizes that requests send`)
}

const RESHAPE = { dependencies: { reshape: ['dims'] } }

type OutputSettings = Omit<ValueSettings, 'optional' | 'nonFinite'>

const OUTPUT = { type: dtype, dims: sizes, reshape: sizes } satisfies Declared<OutputSettings>

const input = object<ValueSettings>({ ...OUTPUT, optional: boolean, nonFinite: oneOf('allow', 'reject').default('allow') })

export const OWN_OPTIONS = {
  inputs: map(input.refine(reshapeNeedsDims, RESHAPE)).default({}).joined(),
  // Requests neither leave out an output nor fill it.
  outputs: map(object<OutputSettings>(OUTPUT).refine(reshapeNeedsDims, RESHAPE))
    .default({})
    .joined() as Declared<OwnOptions>['outputs'],
  labels: map(list(text, { min: 1 })).joined(),
  metadata: map(text).default({}).joined(),
} satisfies Declared<OwnOptions>

function pathOf(url: URL): string | undefined {
  try {
    return fileURLToPath(url)
  } catch {
    return undefined
  }
}

const checkSource: Check = (value, problems) => {
  const add = (rest: string): unknown => problems.push((path) => `${path} ${rest}`)
  if (value instanceof URL) {
    if (value.protocol !== 'file:') add(`must be a file: URL; fetch ${value.protocol} sources yourself and pass the bytes`)
    else if (pathOf(value) === undefined) add('must be a file: URL of a local path, without host and without escaped slashes')
  } else if (value instanceof Uint8Array) {
    if (value.byteLength === 0) add('is an empty Uint8Array')
  } else if (typeof value !== 'string' || value === '') {
    add(`must be a path, a file: URL or a Uint8Array, got ${got(value)}`)
  } else if (/^https?:\/\//i.test(value)) {
    add('must be a path or a file: URL; fetch remote models yourself and pass the bytes')
  }
}

export const IDENTITY = {
  name: name.required(),
  version: name.default('1'),
  source: special<ModelSource>('a path, a file: URL or a Uint8Array', checkSource).required(),
} satisfies Declared<ModelIdentity>

export const LOAD_OPTIONS = { replace: boolean.default(false) } satisfies Declared<LoadOptions>

const loadOptions = object<LoadOptions>(LOAD_OPTIONS)

/** Checks the options of `load()`. @throws ModelmountError `OPTIONS_INVALID` */
export function checkLoadOptions(options: unknown): void {
  if (options !== undefined) ensure(loadOptions, options, 'opts')
}

/** Decides what was left open. */
export function fileConfig(
  set: FileOptions,
  { instances, scaling }: { readonly instances: { readonly min: number }; readonly scaling: { readonly idleMs: number } },
) {
  const all = decided(FILE_OPTIONS, set)
  return { ...all, idleUnloadMs: all.idleUnloadMs ?? (instances.min === 0 ? scaling.idleMs : undefined) }
}

export function ownConfig(set: OwnOptions) {
  const { labels, ...rest } = decided(OWN_OPTIONS, set)
  // Read by names that requests bring.
  const own: Readonly<Record<string, readonly string[]>> | undefined = labels && Object.assign(Object.create(null), labels)
  return { ...rest, labels: own }
}

/** Bytes are copied: instances that start later must run what was loaded, whatever becomes of the caller's array. */
export function sourceOf(source: ModelSource): string | Uint8Array {
  if (source instanceof URL) return fileURLToPath(source)
  // A child works in another folder, and the host may change its own.
  return typeof source === 'string' ? resolve(source) : new Uint8Array(source)
}
