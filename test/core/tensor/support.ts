import { expect } from 'vitest'
import { isModelmountError, type ModelmountError } from '../../../src/core/errors.ts'
import { checkInputs, DTYPES } from '../../../src/core/tensor/index.ts'
import type { Dim, DType, ModelSignature, Tensor, ValueInfo } from '../../../src/core/tensor/types.ts'

export const ALL_TYPES = Object.keys(DTYPES) as DType[]

export function input(name: string, type: DType | undefined, dims: readonly Dim[] | undefined, optional = false): ValueInfo {
  return { name, type, dims, declaredType: `tensor(${type})`, optional }
}

export function signature(...inputs: ValueInfo[]): ModelSignature {
  return { inputs, outputs: [] }
}

/** Checks one input called x. */
export function check(type: DType, dims: readonly Dim[] | undefined, value: unknown, maxElements = 1000): Tensor {
  return checkInputs(signature(input('x', type, dims)), { x: value }, { maxElements }).x!
}

/** The ModelmountError that a call throws. */
export function fault(call: () => unknown): ModelmountError {
  try {
    call()
  } catch (error) {
    if (!isModelmountError(error)) throw error
    return error
  }
  return expect.unreachable('the call should have thrown')
}
