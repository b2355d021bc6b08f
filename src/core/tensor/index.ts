/** Element types, half floats, and the check of a request's inputs against a signature. */

export { allocateInside, copyOf, isSmall } from './arena.ts'
export { checkInputs } from './check.ts'
export { formatShape, product } from './dims.ts'
export { discard, freeUnused } from './discard.ts'
export {
  allocate,
  codeOf,
  DTYPES,
  type ElementArrays,
  fromWireType,
  isDType,
  isFloat,
  type Kind,
  type KindArrays,
  toElement,
  toWireType,
  typedArrayName,
  type WireType,
} from './dtypes.ts'
export { type ElementPolicy, fillRow, INFINITE, kindOf } from './elements.ts'
export { countOf, type ExampleForm, type ExampleInput, exampleForms, exampleOf, exampleTensors } from './example.ts'
export { isRefused } from './finite.ts'
export { type FloatCode, fromHalf, isFiniteHalf, toHalf } from './float16.ts'
export { listed } from './listed.ts'
export { MAX_RANK } from './nested.ts'
export { isDetached, isWhole, takeOver } from './take-over.ts'
export { inputFault, javascript, mismatch, quote, shorten, type Vocabulary } from './vocabulary.ts'
