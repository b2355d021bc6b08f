/** What a served model takes and gives: what its file declares, as far as the loaded session bears it out. */

import type { Loaded, SessionValue } from './engine/messages.ts'
import { ModelmountError } from './errors.ts'
import { servableOutputs } from './onnx/index.ts'
import { isDType } from './tensor/index.ts'
import type { DType, ModelSignature, OnnxModelFacts, ValueInfo } from './types.ts'

/** @throws ModelmountError `MODEL_UNSUPPORTED` for values that the binding cannot carry; the only check for `.ort` files */
export function signatureOf(facts: OnnxModelFacts | undefined, loaded: Loaded): ModelSignature {
  const declared = facts ? { inputs: facts.inputs, outputs: servableOutputs(facts) } : undefined
  const pick = (values: readonly SessionValue[], known: readonly ValueInfo[] | undefined): ValueInfo[] =>
    values.flatMap((value) => known?.find((info) => info.name === value.name) ?? (known ? [] : fromSession(value)))
  const inputs = pick(loaded.inputs, declared?.inputs)
  const outputs = pick(loaded.outputs, declared?.outputs).filter((output) => output.type !== undefined)
  const bad = [...inputs, ...pick(loaded.outputs, facts ? declared?.outputs : undefined)].find(
    (value) => value.type === undefined,
  )
  if (bad && (inputs.includes(bad) || bad.declaredType.includes('int4')))
    throw new ModelmountError('MODEL_UNSUPPORTED', `'${bad.name}' is ${bad.declaredType}, which onnxruntime-node cannot carry`)
  if (outputs.length === 0)
    throw new ModelmountError('MODEL_UNSUPPORTED', 'the model has no output that is a tensor of a supported type')
  return { inputs, outputs }
}

function fromSession(value: SessionValue): ValueInfo[] {
  const type: DType | undefined = value.isTensor && isDType(value.type) ? value.type : undefined
  return [
    {
      name: value.name,
      type,
      declaredType: value.isTensor ? `tensor(${value.type})` : 'not a tensor',
      // ONNX Runtime reports [] for a scalar and for an unknown rank alike.
      dims: value.dims.length === 0 ? undefined : value.dims,
    },
  ]
}
