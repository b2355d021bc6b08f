/** The data of `model_warmup`: zeros, random numbers, or a file of the elements in wire format. */

import { ModelmountError } from '../../errors.ts'
import type { PredictInputs } from '../../predict/types.ts'
import { allocate, DTYPES, type ElementArrays, isFloat, toElement } from '../../tensor/index.ts'
import type { DType, Tensor } from '../../tensor/types.ts'
import type { WarmupInput, WarmupSample } from '../found.ts'
import { pathInside, readSmallFile } from '../read-file.ts'

/** Most elements of one input; bounds the allocation that a few digits in a file can cause. */
const MAX_ELEMENTS = 2 ** 26
const MAX_FILE_BYTES = 2 ** 30

/**
 * @param directory of the model; files are in its `warmup`
 * @throws ModelmountError `CONFIG_INVALID`
 */
export async function makeWarmup(samples: readonly WarmupSample[], directory: string): Promise<PredictInputs[]> {
  const made: PredictInputs[] = []
  for (const [i, { inputs, repeats }] of samples.entries()) {
    const tensors: [string, Tensor][] = []
    for (const [name, input] of Object.entries(inputs))
      tensors.push([name, await tensorOf(input, directory, `model_warmup[${i}].inputs[${JSON.stringify(name)}]`)])
    const sample = Object.fromEntries(tensors)
    for (let run = 0; run < repeats; run++) made.push(sample)
  }
  return made
}

async function tensorOf({ type, dims, fill }: WarmupInput, directory: string, path: string): Promise<Tensor> {
  const count = dims.reduce((product, dim) => product * dim, 1)
  if (count > MAX_ELEMENTS) throw invalid(path, `${path} has more than ${MAX_ELEMENTS} elements`)
  return { type, dims, data: await dataOf(type, count, fill, directory, path) } as Tensor
}

async function dataOf(
  type: DType,
  count: number,
  fill: WarmupInput['fill'],
  directory: string,
  path: string,
): Promise<ElementArrays[DType]> {
  if (fill === 'random') return randomOf(type, count)
  return fill === 'zero' ? allocate(type, count) : fromFile(type, count, fill.file, directory, path)
}

/**
 * From 0 to 1, only the ends for integers: valid indices even for a table of two rows. The same at every start.
 * Strings stay empty, as with Triton.
 */
function randomOf(type: DType, count: number): ElementArrays[DType] {
  const data = allocate(type, count)
  if (type === 'string') return data
  let state = 1
  for (let i = 0; i < count; i++) {
    // Park and Miller, "Random number generators: good ones are hard to find", 1988.
    state = (state * 48_271) % 2_147_483_647
    const random = state / 2_147_483_647
    const element = toElement(type, isFloat(type) ? random : Math.round(random))
    ;(data as Float32Array)[i] = element as number
  }
  return data
}

async function fromFile(
  type: DType,
  count: number,
  name: string,
  directory: string,
  path: string,
): Promise<ElementArrays[DType]> {
  const field = `${path}.input_data_file`
  const bytes = await readSmallFile(pathInside(`${directory}/warmup`, name, field), MAX_FILE_BYTES)
  if (!bytes) throw invalid(field, `${field}: there is no file ${JSON.stringify(name)} in the directory warmup`)
  if (type === 'string') return stringsOf(bytes, count, field)
  const { bytes: width } = DTYPES[type]
  if (bytes.byteLength !== count * width)
    throw invalid(field, `${field}: expected ${count * width} bytes for ${count} elements, got ${bytes.byteLength}`)
  const data = allocate(type, count) as Exclude<ElementArrays[DType], string[]>
  // The file's own buffer may begin at any byte.
  new Uint8Array(data.buffer).set(bytes)
  return data
}

/** Each string follows its length in bytes, a uint32, little-endian. */
function stringsOf(bytes: Uint8Array, count: number, field: string): string[] {
  const strings: string[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decoder = new TextDecoder()
  let at = 0
  while (at + 4 <= bytes.byteLength && strings.length < count) {
    const end = at + 4 + view.getUint32(at, true)
    if (end > bytes.byteLength) break
    strings.push(decoder.decode(bytes.subarray(at + 4, end)))
    at = end
  }
  if (strings.length !== count || at !== bytes.byteLength)
    throw invalid(field, `${field}: expected ${count} strings, each after its length in 4 bytes`)
  return strings
}

const invalid = (field: string, sentence: string): ModelmountError =>
  new ModelmountError('CONFIG_INVALID', `config.pbtxt: ${sentence}`, { details: { field } })
