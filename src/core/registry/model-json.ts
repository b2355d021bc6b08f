/** `model.json`: our own settings beside a model. Its JSON Schema is `model.schema.json` in the package. */

import { ModelmountError } from '../errors.ts'
import type { ModelSpec } from '../model/types.ts'
import { checkModelFile } from '../options.ts'
import type { FileConfig } from './found.ts'
import type { VersionPolicy } from './types.ts'

/** As `checkModelFile` lets it through. */
interface ModelFile extends Omit<ModelSpec, 'name' | 'version' | 'source' | 'labels'> {
  readonly $schema?: string
  readonly file?: string
  readonly versionPolicy?: VersionPolicy
  /** Lists, or names of text files with a label a line. */
  readonly labels?: Readonly<Record<string, string | readonly string[]>>
}

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
