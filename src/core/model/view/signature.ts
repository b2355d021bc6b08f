/** The inputs and outputs of a served model: those that its file declares, as far as the loaded session bears them out. */

import type { Loaded, SessionValue } from '../../engine/messages.ts'
import { ModelmountError } from '../../errors.ts'
import { leftOut, servableOutputs } from '../../onnx/index.ts'
import type { OnnxModelFacts } from '../../onnx/types.ts'
import { isDType } from '../../tensor/index.ts'
import type { DType, LeftOutput, ModelSignature, ValueInfo } from '../../tensor/types.ts'

export type ServedSignature = ModelSignature & Required<Pick<ModelSignature, 'leftOut'>>

/**
 * The session completes what the file leaves open. Outputs that the binding cannot carry are left out: they are computed, and never asked for.
 * @param before outputs that were left out of the graph
 * @throws ModelmountError `MODEL_UNSUPPORTED` for inputs that the binding cannot carry, and where no output is left; the only check for `.ort` files
 */
export function signatureOf(
  facts: OnnxModelFacts | undefined,
  loaded: Loaded,
  before: readonly LeftOutput[] = [],
): ServedSignature {
  const inputs = loaded.inputs.flatMap((value) => declaredAs(value, facts?.inputs))
  const bad = inputs.find(({ type }) => type === undefined)
  if (bad)
    throw new ModelmountError('MODEL_UNSUPPORTED', `'${bad.name}' is ${bad.declaredType}, which onnxruntime-node cannot carry`)
  const all = loaded.outputs.flatMap((value) => declaredAs(value, facts && servableOutputs(facts)))
  const outputs = all.filter(({ type }) => type !== undefined)
  if (outputs.length === 0)
    throw new ModelmountError('MODEL_UNSUPPORTED', 'the model has no output that is a tensor of a supported type')
  const why = facts ? 'as ONNX Runtime has found' : 'and graphs of .ort files are left as they are'
  const more = all.filter(({ type }) => type === undefined).map((output) => leftOut(output, why))
  return { inputs, outputs, leftOut: [...before, ...more] }
}

/** A value as the file declares it, completed by what the session knows; nothing for one that the file is known not to serve. */
function declaredAs(value: SessionValue, known: readonly ValueInfo[] | undefined): ValueInfo[] {
  const found = fromSession(value)
  if (!known) return [found]
  const declared = known.find(({ name }) => name === value.name)
  if (!declared) return []
  const isRight = found.type === undefined ? declared.type !== undefined : found.type === declared.type
  const { type, declaredType } = isRight ? declared : found
  const hasRank = declared.dims !== undefined && (found.dims ?? declared.dims).length === declared.dims.length
  return [{ ...declared, type, declaredType, dims: hasRank ? declared.dims : found.dims }]
}

function fromSession(value: SessionValue): ValueInfo {
  const type: DType | undefined = value.isTensor && isDType(value.type) ? value.type : undefined
  return {
    name: value.name,
    type,
    declaredType: value.isTensor ? `tensor(${value.type})` : 'not a tensor',
    // ONNX Runtime reports [] for a scalar and for an unknown rank alike.
    dims: value.dims.length === 0 ? undefined : value.dims,
  }
}
