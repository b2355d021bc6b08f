/** Example requests for a model's descriptions: few plain values. A trial run shows whether the model accepts one. */

import { allocate, type ElementArrays, isFloat, toElement } from './dtypes.ts'
import type { DType, Tensor, ValueInfo } from './types.ts'

/** One way to make such a request. */
export interface ExampleForm {
  /** Size of open dimensions. */
  readonly size: number
  /** Value of integers; texts and booleans derive from it. */
  readonly whole: 0 | 1
}

/** Example elements of an input; all are equal. */
export interface ExampleInput {
  readonly name: string
  readonly type: DType
  readonly shape: readonly number[]
  readonly element: number | boolean | string
}

/** Longest example; a longer one would help no reader. */
const MAX_ELEMENTS = 4096
const SIZES = [1, 4, 16]

/** Ways that make different requests, the plainest one first. */
export function exampleForms(inputs: readonly ValueInfo[]): readonly ExampleForm[] {
  const needed = inputs.filter(isNeeded)
  const isOpen = needed.some(({ dims }) => dims?.some((dim) => typeof dim !== 'number'))
  const isWhole = needed.some(({ type }) => type !== undefined && !isFloat(type))
  return (isOpen ? SIZES : [1]).flatMap((size) => ((isWhole ? [0, 1] : [0]) as (0 | 1)[]).map((whole) => ({ size, whole })))
}

/** A request with every required input; `undefined` if that would be too long to print. */
export function exampleOf(inputs: readonly ValueInfo[], { size, whole }: ExampleForm): readonly ExampleInput[] | undefined {
  const example: ExampleInput[] = []
  for (const value of inputs) {
    const { name, type, dims = [1] } = value
    if (!isNeeded(value) || type === undefined) continue
    const shape = dims.map((dim) => (typeof dim === 'number' ? dim : size))
    if (countOf(shape) > MAX_ELEMENTS) return undefined
    example.push({ name, type, shape, element: elementOf(type, whole) })
  }
  return example
}

/** The same as an argument of `predict()`. */
export function exampleTensors(example: readonly ExampleInput[]): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = Object.create(null)
  for (const { name, type, shape, element } of example)
    tensors[name] = { type, dims: shape, data: filled(type, countOf(shape), element) } as Tensor
  return tensors
}

export const countOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1)

const isNeeded = ({ optional }: ValueInfo): boolean => optional !== true

function elementOf(type: DType, whole: 0 | 1): ExampleInput['element'] {
  if (type === 'string') return whole === 0 ? 'text' : '1'
  if (type === 'bool') return whole === 1
  return isFloat(type) ? 0.5 : whole
}

function filled(type: DType, count: number, element: ExampleInput['element']): ElementArrays[DType] {
  const data = allocate(type, count)
  if (Array.isArray(data)) return data.fill(String(element))
  return (data as Float32Array).fill(toElement(type, Number(element)) as number)
}
