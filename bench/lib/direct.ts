/** The rival: onnxruntime-node called directly, with the options that modelmount gives its own sessions. */

import * as ort from 'onnxruntime-node'

/** One thread on both sides, because a ratio of schedulers must not hide a ratio of cores. */
export const SESSION = { intraOpNumThreads: 1 } as const

export const OPTIONS: ort.InferenceSession.SessionOptions = {
  ...SESSION,
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
  executionMode: 'sequential',
  enableCpuMemArena: false,
  enableMemPattern: false,
  logSeverityLevel: 4,
  executionProviders: ['cpu'],
  extra: { 'session.intra_op.allow_spinning': '0', 'session.inter_op.allow_spinning': '0' },
}

/** @param arena ONNX Runtime's own memory pool, its default; modelmount leaves it off, because it never gives memory back */
export function openSession(model: Uint8Array, arena = false): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, { ...OPTIONS, enableCpuMemArena: arena, enableMemPattern: arena })
}

/**
 * One run with a fresh tensor, as a route would do it.
 * @param rowDims shape of one row @default one dimension
 */
export async function runRows(
  session: ort.InferenceSession,
  data: Float32Array,
  rows = 1,
  rowDims: readonly number[] = [data.length / rows],
): Promise<ort.Tensor> {
  const [input, output] = [session.inputNames[0] as string, session.outputNames[0] as string]
  const results = await session.run({ [input]: new ort.Tensor('float32', data, [rows, ...rowDims]) })
  return results[output] as ort.Tensor
}
