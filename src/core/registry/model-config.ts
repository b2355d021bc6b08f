/** Settings in a model's directory: `model.json`, which wins, over Triton's `config.pbtxt`. */

import { join } from 'node:path'
import { isModelmountError, ModelmountError } from '../errors.ts'
import { layered } from '../options/index.ts'
import type { DirectoryConfig, FileConfig } from './found.ts'
import { parseModelJson } from './model-json.ts'
import { pathInside, readText } from './read-file.ts'
import { modelConfigOf } from './triton/fields.ts'
import { settingsOf } from './triton/settings.ts'
import { parseTextProto } from './triton/text-proto.ts'
import { makeWarmup } from './triton/warmup.ts'
import type { ConfigNote, VersionPolicy } from './types.ts'

const MAX_CONFIG_BYTES = 1024 * 1024
const MAX_LABEL_BYTES = 64 * 1024 * 1024
const TRITON = 'config.pbtxt'

const NONE: FileConfig = { settings: {} }

/** Never rejects: a fault concerns this model alone. */
export async function readModelConfig(directory: string, name: string): Promise<DirectoryConfig> {
  const configNotes: ConfigNote[] = []
  let tritonConfig: DirectoryConfig['tritonConfig']
  let versionPolicy: VersionPolicy | undefined
  let file: string | undefined
  try {
    const pbtxt = await readText(join(directory, TRITON), MAX_CONFIG_BYTES)
    let triton = NONE
    if (pbtxt !== undefined) {
      const note = (field: string, reason: string): unknown => configNotes.push({ file: TRITON, field, reason })
      tritonConfig = modelConfigOf(parseTextProto(pbtxt, TRITON), TRITON, (field) =>
        note(field, 'modelmount does not know this field'),
      )
      triton = settingsOf(tritonConfig, name, note)
    }
    const json = await readText(join(directory, 'model.json'), MAX_CONFIG_BYTES)
    const own = json === undefined ? NONE : parseModelJson(json)
    versionPolicy = own.versionPolicy ?? triton.versionPolicy
    file = own.file ?? triton.file
    const settings = layered(await completed(triton, directory), await completed(own, directory))
    return { settings, versionPolicy, file, tritonConfig, configNotes, fault: undefined }
  } catch (error) {
    const fault = isModelmountError(error)
      ? error
      : new ModelmountError('CONFIG_INVALID', `the model's configuration could not be read`, { cause: error })
    return { settings: {}, versionPolicy, file, tritonConfig, configNotes, fault }
  }
}

/** With what stands in further files: labels and warm-up data. */
async function completed(
  { settings, labelFiles = {}, warmup = [] }: FileConfig,
  directory: string,
): Promise<FileConfig['settings']> {
  const labels = await Promise.all(
    Object.entries(labelFiles).map(async ([output, file]) => [output, await readLabels(directory, file, output)] as const),
  )
  return {
    ...settings,
    ...(labels.length > 0 ? { labels: { ...settings.labels, ...Object.fromEntries(labels) } } : {}),
    ...(warmup.length > 0 ? { warmup: await makeWarmup(warmup, directory) } : {}),
  }
}

/** One label a line; the line's number is the element's. */
async function readLabels(directory: string, file: string, output: string): Promise<readonly string[]> {
  const field = `label file of ${JSON.stringify(output)}`
  const text = await readText(pathInside(directory, file, field), MAX_LABEL_BYTES)
  if (text === undefined)
    throw new ModelmountError('CONFIG_INVALID', `${field}: there is no file ${JSON.stringify(file)} in the model's directory`, {
      details: { field },
    })
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}
