/** `model.json`: our own settings beside a model. Its JSON Schema is `model.schema.json` in the package. */

import type { CacheOptions } from '../cache/types.ts'
import { ModelmountError } from '../errors.ts'
import type { ModelSpec } from '../model/types.ts'
import { MODEL_FILE_SETTINGS, OF_ONE_MODEL } from '../options/index.ts'
import { either, list, map, object, text } from '../options/kinds.ts'
import { faults } from '../options/refuse.ts'
import type { FileConfig } from './found.ts'
import { MODEL_FILE_OPTIONS, REPOSITORY_OPTIONS } from './options.ts'
import type { VersionPolicy } from './types.ts'

/** As `checkModelFile` lets it through. */
export interface ModelFile
  extends Omit<ModelSpec, 'name' | 'version' | 'source' | 'signature' | 'trialRun' | 'cache' | 'labels'> {
  readonly $schema?: string
  readonly file?: string
  readonly versionPolicy?: VersionPolicy
  readonly cache?: false | Omit<CacheOptions, 'store'>
  /** Lists, or names of text files with a label a line. */
  readonly labels?: Readonly<Record<string, string | readonly string[]>>
}

/** The content of a `model.json`. */
export const modelFile = object<ModelFile>({
  ...MODEL_FILE_OPTIONS,
  versionPolicy: REPOSITORY_OPTIONS.versionPolicy,
  ...MODEL_FILE_SETTINGS,
  ...OF_ONE_MODEL,
  labels: map(either(text, list(text, { min: 1 }))),
})

/** Checks the content of a `model.json`; returns all problems. */
export const checkModelFile = (value: unknown): readonly string[] =>
  faults(modelFile, value, '').map((problem) => problem.replace(/^options must/, 'it must'))

/** @throws ModelmountError `CONFIG_INVALID` with all problems */
export function parseModelJson(text: string): FileConfig {
  const { $schema, file, versionPolicy, labels = {}, ...settings } = parse(text)
  const lists = Object.entries(labels).filter(([, label]) => typeof label !== 'string')
  const files = Object.entries(labels).filter(([, label]) => typeof label === 'string')
  return {
    settings: { ...settings, ...(lists.length > 0 ? { labels: Object.fromEntries(lists) as ModelSpec['labels'] } : {}) },
    ...(file === undefined ? {} : { file }),
    ...(versionPolicy === undefined ? {} : { versionPolicy }),
    labelFiles: Object.fromEntries(files) as Record<string, string>,
  }
}

function parse(text: string): ModelFile {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new ModelmountError('CONFIG_INVALID', `model.json is not valid JSON: ${cause instanceof Error ? cause.message : ''}`, {
      cause,
    })
  }
  const problems = checkModelFile(json)
  if (problems.length === 0) return json as ModelFile
  const sentence = problems.length === 1 ? `${problems[0]}` : `${problems.length} problems: ${problems.join('; ')}`
  throw new ModelmountError('CONFIG_INVALID', `model.json: ${sentence}`, { details: { problems } })
}
