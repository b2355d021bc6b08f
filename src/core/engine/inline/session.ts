/**
 * A session on the host's own thread, by the public API of onnxruntime-node: nothing is patched, and the app's own use of that package
 * keeps its settings. The only file beside the worker that loads it, and only once a model is to run here.
 */

import { readFile } from 'node:fs/promises'
import type * as Ort from 'onnxruntime-node'
import { requireFromScripts } from '../../host/scripts.ts'
import type { DType, Tensor } from '../../tensor/types.ts'
import type { LoadRequest } from '../instance.ts'
import { readPatched } from '../patched.ts'
import type { Run } from '../run.ts'
import type { TensorRecord } from '../wire/format.ts'

export interface HostSession {
  /** Runs in the next turn. Rejects with ONNX Runtime's own error. */
  run(run: Run): Promise<TensorRecord>
  release(): Promise<void>
}

/**
 * Blocks the host's thread while the session is made: 1 to 3 ms for a model of up to a mebibyte, and about 20 ms more for the first one of a
 * process, which loads the package.
 */
export async function openHostSession({ source, patch, data, settings }: HostModel): Promise<HostSession> {
  const whole = typeof source === 'string' ? await readFile(source) : source
  // The worker's own copy of the package: both are found from the worker's script.
  const ort = requireFromScripts()('onnxruntime-node') as typeof Ort
  const externalData = data.map(({ path, bytes }) => ({ path, data: bytes }))
  const session = await ort.InferenceSession.create(readPatched(whole, patch) as Uint8Array, {
    ...settings.session,
    // More threads would wait for each other longer than such a run takes.
    intraOpNumThreads: 1,
    executionProviders: ['cpu'],
    ...(externalData.length > 0 ? { externalData } : {}),
  })
  return {
    run: ({ inputs, fetches }) =>
      session.run(feedsOf(ort, inputs), fetches as string[]).then((values) => outputsOf(values, fetches)),
    release: () => session.release(),
  }
}

export type HostModel = Pick<LoadRequest, 'source' | 'patch' | 'data' | 'settings'>

function feedsOf({ Tensor }: typeof Ort, inputs: TensorRecord): Record<string, Ort.Tensor> {
  const feeds: Record<string, Ort.Tensor> = {}
  for (const name of Object.keys(inputs)) {
    const { type, data, dims } = inputs[name] as Tensor
    feeds[name] = new Tensor(type as 'float32', data as Float32Array, dims)
  }
  return feeds
}

function outputsOf(values: Ort.InferenceSession.OnnxValueMapType, fetches: readonly string[]): TensorRecord {
  const outputs: Record<string, Tensor> = Object.create(null)
  for (const name of fetches) {
    const { type, dims, data } = values[name] as Ort.Tensor
    outputs[name] = { type: type as DType, dims, data } as Tensor
  }
  return outputs
}
