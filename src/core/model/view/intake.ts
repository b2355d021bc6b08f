/** A caller's inputs made ours: checked, and copied where they are still the caller's own memory. */

import type { BufferPool } from '../../engine/buffer-pool.ts'
import { isModelmountError, ModelmountError } from '../../errors.ts'
import type { PredictInputs } from '../../predict/types.ts'
import {
  checkInputs,
  copyOf,
  DTYPES,
  inputFault,
  isDetached,
  isRefused,
  isSmall,
  isWhole,
  quote,
  takeOver,
} from '../../tensor/index.ts'
import type { Dim, ModelSignature, Tensor, ValueInfo } from '../../tensor/types.ts'

/**
 * Turns what a caller gives to `predict()` into tensors that belong to us.
 * @param transfer true takes memory over that the caller can give away, once all inputs have passed the check
 * @throws ModelmountError `INPUT_INVALID`
 */
export type Intake = (inputs: PredictInputs, transfer?: boolean) => Record<string, Tensor>

/**
 * @param limits.maxElements largest number of elements of one input
 * @param memory for large copies
 */
export function createIntake(
  signature: ModelSignature,
  limits: { readonly maxElements: number },
  buffers?: BufferPool | undefined,
): Intake {
  const plans = plansOf(signature)
  return (inputs, transfer = false) => {
    try {
      const usual = plans && !transfer && takeUsual(plans, inputs, limits.maxElements)
      if (usual) return usual
      const tensors = checkInputs(signature, inputs, limits)
      return snapshot(tensors, inputs, transfer ? wholesOf(tensors, inputs) : NONE, buffers)
    } catch (error) {
      if (isModelmountError(error)) throw error
      refuseGivenAway(inputs)
      // A getter or proxy of the caller's that throws.
      throw new ModelmountError('INPUT_INVALID', 'the inputs could not be read', { cause: error })
    }
  }
}

/**
 * Copies what is still the caller's own memory: a caller may reuse its array as soon as `predict()` has returned its promise.
 * @param given away by the caller. Taken last, because no copy can be made of memory that is gone
 */
function snapshot(
  tensors: Record<string, Tensor>,
  inputs: PredictInputs,
  given: readonly string[],
  buffers: BufferPool | undefined,
): Record<string, Tensor> {
  for (const name of Object.keys(tensors)) {
    const tensor = tensors[name]
    if (tensor && !given.includes(name) && isTheirs(tensor, inputs[name])) tensors[name] = copied(tensor, buffers)
  }
  for (const name of given) {
    const tensor = tensors[name] as NumericTensor
    const taken = takeOver(tensor.data.buffer as ArrayBuffer)
    const ArrayOf = DTYPES[tensor.type].array as unknown as new (buffer: ArrayBuffer) => NumericData
    tensors[name] = taken ? ({ ...tensor, data: new ArrayOf(taken) } as Tensor) : copied(tensor, buffers)
  }
  return tensors
}

type NumericTensor = Exclude<Tensor, { readonly type: 'string' }>

const NONE: readonly string[] = []

/** Inputs whose memory can be given away: each fills a buffer of its own. Of two with the same buffer, the second is copied. */
function wholesOf(tensors: Readonly<Record<string, Tensor>>, inputs: PredictInputs): readonly string[] {
  const seen = new Set<ArrayBufferLike>()
  return Object.keys(tensors).filter((name) => {
    const tensor = tensors[name] as Tensor
    if (!isTheirs(tensor, inputs[name]) || !isWhole(tensor.data) || seen.has(tensor.data.buffer)) return false
    seen.add(tensor.data.buffer)
    return true
  })
}

/** The memory of that tensor is the caller's. */
function isTheirs(tensor: Tensor, given: PredictInputs[string] | undefined): tensor is NumericTensor {
  if (tensor.type === 'string') return false
  const theirs = ArrayBuffer.isView(given) ? given : typeof given === 'object' && 'data' in given ? given.data : undefined
  return ArrayBuffer.isView(theirs) && theirs.buffer === tensor.data.buffer
}

const copied = (tensor: NumericTensor, buffers: BufferPool | undefined): Tensor =>
  ({ ...tensor, data: buffers && !isSmall(tensor.data) ? buffers.copy(tensor.data) : copyOf(tensor.data) }) as Tensor

/**
 * Names the input whose memory its owner gave away before, with `transfer` or to another thread: nothing of it can be read.
 * @throws ModelmountError `INPUT_INVALID`
 */
function refuseGivenAway(inputs: PredictInputs): void {
  for (const [input, given] of Object.entries(inputs)) {
    const data = ArrayBuffer.isView(given) ? given : (given as { readonly data?: unknown }).data
    if (!ArrayBuffer.isView(data) || !isDetached(data.buffer)) continue
    throw inputFault(`input ${quote(input)} has no memory any more: it was given away before`, {
      input,
      field: input,
      expected: 'an array that still has its memory',
      got: 'one that was given away',
    })
  }
}

// ---------------------------------------------------------------- the usual case

type NumericData = Exclude<Tensor['data'], readonly string[]>

/** One input that comes as a small typed array; read from the signature once. */
interface Plan {
  readonly name: string
  readonly type: Exclude<Tensor['type'], 'string'>
  readonly prototype: object
  readonly dims: readonly Dim[]
  /** The dimension whose size follows from the length; -1 when all are fixed. */
  readonly free: number
  /** Product of the others. */
  readonly fixed: number
  /** An input before this one whose free dimension has the same symbol, and so must have the same size. */
  readonly like: Plan | undefined
  readonly nonFinite: ValueInfo['nonFinite']
  /** Of the last request: the next one usually has the same shape. */
  lastLength: number
  lastDims: readonly number[]
}

/** `undefined` for a model whose inputs need a closer look in any case. */
function plansOf({ inputs }: ModelSignature): readonly Plan[] | undefined {
  const plans: Plan[] = []
  for (const info of inputs) {
    const plan = planOf(info, plans)
    if (!plan) return undefined
    plans.push(plan)
  }
  return plans
}

function planOf({ name, type, dims, optional, nonFinite }: ValueInfo, before: readonly Plan[]): Plan | undefined {
  // Bytes of a bool have to be looked at one by one.
  if (type === undefined || type === 'string' || type === 'bool' || dims === undefined || optional === true) return undefined
  const open = dims.filter((dim) => typeof dim !== 'number')
  const fixed = dims.reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1)
  if (open.length > 1 || fixed === 0) return undefined
  const free = dims.findIndex((dim) => typeof dim !== 'number')
  const [symbol] = open
  const like = typeof symbol === 'string' ? before.find((plan) => plan.dims[plan.free] === symbol) : undefined
  const { prototype } = DTYPES[type].array
  return { name, type, prototype, dims, free, fixed, like, nonFinite, lastLength: -1, lastDims: [] }
}

/**
 * Small typed arrays of exactly the right class, one for each input: checked and copied with nothing more than that takes. Does not look at
 * their `buffer`, which for a small array would have to be made first, and costs more than all the rest.
 * @returns `undefined` for anything else, right or wrong
 */
function takeUsual(plans: readonly Plan[], inputs: PredictInputs, maxElements: number): Record<string, Tensor> | undefined {
  if (typeof inputs !== 'object' || inputs === null || Object.getPrototypeOf(inputs) !== Object.prototype) return undefined
  if (Object.keys(inputs).length !== plans.length) return undefined
  const tensors: Record<string, Tensor> = Object.create(null)
  for (const plan of plans) {
    const { name } = plan
    const given: unknown = Object.hasOwn(inputs, name) ? inputs[name] : undefined
    if (typeof given !== 'object' || given === null || Object.getPrototypeOf(given) !== plan.prototype) return undefined
    const data = given as NumericData
    if (data.length > maxElements || !isSmall(data)) return undefined
    const dims = data.length === plan.lastLength ? plan.lastDims : dimsFor(plan, data.length)
    if (!dims) return undefined
    if (plan.like && tensors[plan.like.name]?.dims[plan.like.free] !== dims[plan.free]) return undefined
    const tensor = { type: plan.type, dims, data: copyOf(data) } as Tensor
    // Refused in words by the longer way.
    if (plan.nonFinite && isRefused(plan, tensor)) return undefined
    tensors[name] = tensor
  }
  return tensors
}

function dimsFor(plan: Plan, length: number): readonly number[] | undefined {
  const size = length / plan.fixed
  if (plan.free < 0 ? size !== 1 : !Number.isInteger(size)) return undefined
  plan.lastLength = length
  plan.lastDims = plan.dims.map((dim) => (typeof dim === 'number' ? dim : size))
  return plan.lastDims
}
