/** Decides from the file alone whether onnxruntime-node can serve a model; measured against 1.30. */

import type { ValueInfo } from '../tensor/types.ts'
import { leftOut } from './left-out.ts'
import { shown } from './shown.ts'
import type { OnnxModelFacts } from './types.ts'

/** Highest version of the default operator set that onnxruntime-node 1.30 loads. */
export const MAX_OPSET = 26
/** Highest IR version that onnxruntime-node 1.30 loads. */
export const MAX_IR_VERSION = 13
/** The version after it, which is lowered if the file uses nothing of it. */
export const LOWERED_IR_VERSION = 14

/** Domains whose operators are part of a stock ONNX Runtime; the last two appear in graphs that it optimised and saved. */
const STOCK_DOMAINS: ReadonlySet<string> = new Set([
  'ai.onnx',
  'ai.onnx.ml',
  'com.microsoft',
  'com.microsoft.experimental',
  'com.microsoft.nchwc',
  'com.ms.internal.nhwc',
])

/** Runs a vendor's binary, embedded or from a path: the graph does not show its computation. */
export const VENDOR_BINARY = 'com.microsoft:EPContext'

/** Why no edit makes the model servable, worded as the rest of a sentence; `undefined` if the file raises no objection. */
export function unsupportedReason(facts: OnnxModelFacts): string | undefined {
  return versionReason(facts) ?? operatorReason(facts) ?? inputReason(facts) ?? outputReason(facts)
}

/**
 * The outputs that can be served: tensors, and outputs whose type the file leaves open.
 * Sequences, maps and optionals are left out, because asking for them fails the run.
 */
export function servableOutputs(facts: OnnxModelFacts): ValueInfo[] {
  return facts.outputs.filter((output) => output.type !== undefined || isOpen(output))
}

/** True for an output whose type is known only once the model has loaded. */
export const isOpen = ({ type, declaredType }: ValueInfo): boolean => type === undefined && declaredType === 'undeclared'

function versionReason({ irVersion, opsets }: OnnxModelFacts): string | undefined {
  if (irVersion > LOWERED_IR_VERSION) return irReason(irVersion)
  if (Object.keys(opsets).length === 0) return 'it does not say which operator sets it uses'
  const opset = opsets['ai.onnx']
  if (opset !== undefined && opset > MAX_OPSET)
    return `it uses operator set ${opset} of ai.onnx; the highest supported is ${MAX_OPSET}: export it with that one or a lower one`
  return undefined
}

/** Why a format version that was not lowered cannot be loaded. */
export const irReason = (irVersion: number): string =>
  `it has IR version ${irVersion}; the highest supported is ${MAX_IR_VERSION}: export it with ir_version=10`

/** Why one of its operators cannot run, worded as the rest of a sentence. */
export function operatorReason({ operators }: OnnxModelFacts): string | undefined {
  if (operators.includes(VENDOR_BINARY)) return `operator ${VENDOR_BINARY} runs a vendor's binary, which is not allowed`
  const foreign = operators.find((id) => !STOCK_DOMAINS.has(id.slice(0, id.indexOf(':'))))
  return foreign === undefined ? undefined : `custom operator ${shown(foreign)} needs a library that is not loaded`
}

function inputReason({ inputs }: OnnxModelFacts): string | undefined {
  const input = inputs.find(({ type }) => type === undefined)
  return input === undefined ? undefined : `input "${shown(input.name)}" is ${described(input)}, which cannot be passed`
}

/** One tensor of an element type unknown to the binding spoils the whole model: int4 aborts the process, others fail the load. */
function outputReason(facts: OnnxModelFacts): string | undefined {
  const served = servableOutputs(facts)
  const [first] = facts.outputs
  if (served.length === 0 && first) {
    const all =
      facts.outputs.length === 1
        ? `its only output, "${shown(first.name)}",`
        : `each of its outputs, like "${shown(first.name)}",`
    return `${all} ${leftOut(first).reason.replace(/^it /, '')}`
  }
  const output = facts.outputs.find((one) => !served.includes(one) && !isContainer(one.declaredType))
  if (output !== undefined) return `output "${shown(output.name)}" is ${described(output)}, which cannot be returned`
  // onnxruntime-common collects results in a plain object, where this name sets the prototype instead.
  if (facts.outputs.some(({ name }) => name === '__proto__')) return 'an output named "__proto__" cannot be returned'
  return served.length === 0 ? 'it has no output that is a tensor' : undefined
}

const isContainer = (declaredType: string): boolean => /^(seq|map|optional)\(/.test(declaredType)

const described = ({ declaredType }: ValueInfo): string =>
  declaredType === 'undeclared' ? 'of no declared type' : `of type ${shown(declaredType)}`
