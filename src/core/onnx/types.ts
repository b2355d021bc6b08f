/** Facts of an ONNX file, and the edits of its graph. */

import type { ModelSignature } from '../tensor/types.ts'

/**
 * Edits that a graph may get in memory, after its file was verified.
 * `zipmap` serves the probabilities that go into a ZipMap instead of its dictionaries.
 * `cut-output` takes out an output that onnxruntime-node cannot carry.
 * `ir-version` lowers the version of the format by one, if nothing newer is used.
 */
export type GraphEditName = 'zipmap' | 'cut-output' | 'ir-version'

/** One such edit. */
export interface GraphEdit {
  readonly edit: GraphEditName
  /** The output, or `ir_version`. */
  readonly target: string
  /** The change, as a sentence. */
  readonly detail: string
}

/** Header facts of an ONNX file, read without ONNX Runtime. */
export interface OnnxModelFacts extends ModelSignature {
  readonly irVersion: number
  /** Operator set version by domain; the default domain is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>
  readonly producer: string
  readonly producerVersion: string
  readonly graphName: string
  readonly domain: string
  readonly modelVersion: string
  readonly doc: string
  /** `metadata_props` of the file. */
  readonly metadata: Readonly<Record<string, string>>
  /** Inputs that always have the value the file gives them: onnxruntime-node has no way to send them. */
  readonly presetInputs: readonly string[]
  /** Locations of external data files as the model names them, each once, in order of appearance. */
  readonly externalData: readonly string[]
  readonly nodeCount: number
  readonly initializerCount: number
  /** Bytes of weights inside the file (external data not counted). */
  readonly initializerBytes: number
  /** Operators the graph and its subgraphs use, as `domain:Op` (`ai.onnx:Gemm`), sorted. */
  readonly operators: readonly string[]
}
