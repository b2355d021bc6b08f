/** Options of finding models in a repository, and of naming their versions. */

import { type Declared, filled, integer, list, map, name, object, oneOf, scalar, text, variants } from '../options/kinds.ts'
import { faults, refuse } from '../options/refuse.ts'

/** All versions, the n highest, or the ones named. */
export type VersionPolicy = 'all' | { readonly latest: number } | { readonly specific: readonly string[] }

/** Names for versions of one model. */
export interface LabelOptions {
  /**
   * Names for versions of this model, for callers that ask for `stable` instead of a number: `{ stable: '3', canary: '4' }`. They hold for all
   * versions of the name. A label moves when the version that it points at by now is ready, never before; {@link ModelServer.setVersionLabel}
   * moves it at run time.
   * @default {}
   */
  readonly versionLabels?: Readonly<Record<string, string>>
}

/** Where models are found. */
export interface RepositoryOptions {
  /** Directory with `<name>/<version>/model.onnx`, `<name>/model.onnx` or `<name>.onnx`. @default none */
  readonly repository?: string
  /** Which versions of every repository model to load. @default the choice of the model's own files; all where they make none */
  readonly versionPolicy?: VersionPolicy
}

/** Fields that only `model.json` has. */
export interface ModelFileOptions {
  /** Where its JSON Schema is, for editors. */
  readonly $schema?: string
  /** Name of the model file in the version directories. */
  readonly file?: string
}

export const LABEL_OPTIONS = {
  versionLabels: map(name, name).default({}).joined(),
} satisfies Declared<LabelOptions>

const versionPolicy = variants<VersionPolicy>(
  oneOf('all'),
  object<{ readonly latest: number }>({ latest: integer(1, 1_000_000).required() }),
  object<{ readonly specific: readonly string[] }>({ specific: list(name, { min: 1 }).required() }),
)

/** The path of a directory. */
export const directory = filled('the path of a directory')

export const REPOSITORY_OPTIONS = { repository: directory, versionPolicy } satisfies Declared<RepositoryOptions>

const isFileName = (value: unknown): boolean =>
  typeof value === 'string' && /^[^/\\\0]{1,255}$/.test(value) && value !== '.' && value !== '..'

export const MODEL_FILE_OPTIONS = {
  $schema: text,
  file: scalar<string>('the name of a file in the version directories', isFileName, {
    type: 'string',
    minLength: 1,
    maxLength: 255,
    pattern: '^[^/\\\\\\u0000]+$',
    not: { enum: ['.', '..'] },
  }),
} satisfies Declared<ModelFileOptions>

/** Checks the arguments of `setVersionLabel()`. @throws ModelmountError `OPTIONS_INVALID` */
export function checkVersionLabel(label: unknown, version: unknown): void {
  refuse([...faults(name, label, 'label'), ...(version === undefined ? [] : faults(name, version, 'version'))])
}
