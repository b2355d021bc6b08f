/**
 * The JSON before binary tensors, which one client mostly sends again byte for byte. It is parsed and checked once; behind the very same bytes
 * only the tensors are taken. Keeps nothing of any caller: heads with an id, parameters of the request or numbers are not learned.
 */

import { DTYPES } from '../../tensor/index.ts'
import type { DType, ModelSignature, Tensor } from '../../tensor/types.ts'
import { bytesOf, createBlobs, elementsIn, type Target } from './blobs.ts'
import type { InferRequest } from './infer-request.ts'

interface Part {
  readonly input: string
  readonly type: Exclude<DType, 'string'>
  readonly dims: readonly number[]
  readonly count: number
  readonly bytes: number
  /** Where its size stands. */
  readonly field: string
}

interface Head {
  readonly bytes: Buffer
  /** In the order of the body. */
  readonly parts: readonly Part[]
  /** Of all parts together. */
  readonly tensorBytes: number
  /** Elements of the largest part. */
  readonly most: number
  /** In the order of the signature. */
  readonly inputs: readonly string[]
  readonly request: InferRequest
}

export interface Heads {
  /**
   * The request with a head that was learned.
   * @param maxElements largest number of elements of one input
   * @returns `undefined` for any other head, and where the tensors do not have the size that it says
   */
  read(head: Uint8Array, tensors: readonly Uint8Array[], maxElements: number, target: Target): InferRequest | undefined
  /**
   * Takes note of a head that {@link read} did not know.
   * @param tensorBytes of the body after it
   * @param paths where each input stands
   */
  learn(head: Uint8Array, tensorBytes: number, paths: ReadonlyMap<string, string>, request: InferRequest): void
}

/** Beside a longer head its parsing is cheap. */
const MOST_BYTES = 4 * 1024
/** Of one model: clients that write their requests in different ways. */
const MOST_HEADS = 4
/** Where no two heads are alike, most are not learned. */
const LEARN_EVERY = 32

const known = new WeakMap<ModelSignature, Heads>()

/** Those of a model, for as long as it is loaded. */
export function headsOf(signature: ModelSignature): Heads {
  let heads = known.get(signature)
  if (!heads) {
    heads = createHeads(signature)
    known.set(signature, heads)
  }
  return heads
}

export function createHeads(signature: Pick<ModelSignature, 'inputs'>): Heads {
  // Values of such inputs are looked at one by one.
  const isPlain = signature.inputs.every(({ type, nonFinite }) => type !== 'bool' && type !== 'string' && nonFinite === undefined)
  const heads: Head[] = []
  let misses = 0
  let oldest = 0

  return {
    read(bytes, tensors, maxElements, target) {
      for (const head of heads) {
        if (head.bytes.length !== bytes.length || head.bytes.compare(bytes) !== 0) continue
        return head.most <= maxElements ? requestOf(head, tensors, target) : undefined
      }
      return undefined
    },
    learn(bytes, tensorBytes, paths, request) {
      if (!isPlain || bytes.byteLength > MOST_BYTES || misses++ % LEARN_EVERY !== 0) return
      const head = headOf(bytes, tensorBytes, paths, request)
      if (!head) return
      heads[oldest] = head
      oldest = (oldest + 1) % MOST_HEADS
    },
  }
}

function headOf(
  bytes: Uint8Array,
  tensorBytes: number,
  paths: ReadonlyMap<string, string>,
  request: InferRequest,
): Head | undefined {
  if (request.id !== undefined || Object.keys(request.parameters).length > 0) return undefined
  const parts: Part[] = []
  let total = 0
  let most = 0
  for (const [input, path] of paths) {
    const { type, dims, data } = request.inputs[input] as Tensor
    if (type === 'string' || data.length === 0) return undefined
    const size = data.length * DTYPES[type].bytes
    parts.push({ input, type, dims: [...dims], count: data.length, bytes: size, field: `${path}.parameters.binary_data_size` })
    total += size
    most = Math.max(most, data.length)
  }
  // Fewer bytes came after the head where it has numbers of its own.
  if (parts.length === 0 || total !== tensorBytes) return undefined
  return {
    bytes: Buffer.from(bytes),
    parts,
    tensorBytes,
    most,
    inputs: Object.keys(request.inputs),
    request: { ...request, ...(request.outputs ? { outputs: Object.freeze([...request.outputs]) } : {}), inputs: {} },
  }
}

function requestOf(head: Head, tensors: readonly Uint8Array[], target: Target): InferRequest | undefined {
  const { parts, tensorBytes, inputs, request } = head
  if (bytesOf(tensors) !== tensorBytes) return undefined
  const { outputs, forms, parameters } = request
  const [only] = parts
  if (only && parts.length === 1) {
    const read: Record<string, Tensor> = Object.create(null)
    read[only.input] = tensorOf(only, tensors, target)
    return { inputs: read, outputs, forms, parameters }
  }
  const blobs = createBlobs(tensors)
  const taken = new Map(parts.map((part) => [part.input, tensorOf(part, blobs.take(part.bytes, part.field), target)]))
  const read: Record<string, Tensor> = Object.create(null)
  for (const name of inputs) read[name] = taken.get(name) as Tensor
  return { inputs: read, outputs, forms, parameters }
}

const tensorOf = ({ input, type, dims, count, field }: Part, blob: readonly Uint8Array[], target: Target): Tensor =>
  ({ type, dims: [...dims], data: elementsIn(type, blob, count, { input, field }, target) }) as Tensor
