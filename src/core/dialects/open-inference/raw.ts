/** Requests whose body is one tensor and nothing else (`Inference-Header-Content-Length: 0`): type and shape come from the model. */

import { ModelmountError } from '../../errors.ts'
import { DTYPES, formatShape, product } from '../../tensor/index.ts'
import type { Dim, DType, ModelSignature, ValueInfo } from '../../tensor/types.ts'
import { type Blob, bytesOf, elementsIn, type Target, textOf, wholeOf } from './blobs.ts'

interface RawTensor {
  readonly type: DType
  readonly dims: readonly number[]
  readonly data: unknown
}

/**
 * The one input of the model, out of the whole body.
 * @throws ModelmountError `REQUEST_INVALID` when the model does not take exactly one input, or when its shape leaves too much open
 */
export function rawInput(body: Blob, { inputs }: ModelSignature, target: Target): readonly [name: string, tensor: RawTensor] {
  const [info] = inputs
  if (!info?.type || inputs.length !== 1) throw refusal(`a model with one input, and this one has ${inputs.length}`)
  const { name, type } = info
  if (type === 'string')
    return [name, { type, dims: ones(info), data: [textOf(Buffer.from(wholeOf(body)), 0, { input: name, field: 'body' })] }]
  const elements = bytesOf(body) / DTYPES[type].bytes
  const dims = info.dims ? openDims(info.dims, elements) : [elements]
  const count = product(dims)
  // A fraction of an element, or of a row: the fault is told as one of size.
  if (!dims.every(Number.isInteger)) throw refusal(`a body that fills the shape ${formatShape(info.dims ?? [null])}`)
  return [name, { type, dims, data: elementsIn(type, body, count, { input: name, field: 'body' }, target) }]
}

/** One string is the bare bytes of the body, without a length before them; there is no way to send two. */
function ones({ dims = [null] }: ValueInfo): number[] {
  if (dims.every((dim) => dim === 1 || typeof dim !== 'number')) return dims.map(() => 1)
  throw refusal(`one string, and the shape ${formatShape(dims)} needs more`)
}

/** One open dimension takes what is there. Of two, the first counts rows, and the body is one row. */
function openDims(dims: readonly Dim[], elements: number): number[] {
  const isOpen = (dim: Dim | undefined): boolean => typeof dim !== 'number'
  const open = dims.filter(isOpen).length
  const isOneRow = open === 2 && isOpen(dims[0])
  if (open > 1 && !isOneRow) throw refusal(`a shape with one open dimension, and the model's is ${formatShape(dims)}`)
  const fixed = product(dims.filter((dim) => typeof dim === 'number'))
  return dims.map((dim, i) => (typeof dim === 'number' ? dim : isOneRow && i === 0 ? 1 : elements / fixed))
}

function refusal(needed: string): ModelmountError {
  return new ModelmountError('REQUEST_INVALID', `a raw request (Inference-Header-Content-Length: 0) needs ${needed}`, {
    details: { field: 'inference-header-content-length' },
  })
}
