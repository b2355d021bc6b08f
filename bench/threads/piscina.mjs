/** A thread of the piscina pool: a session of its own, one row per task. Plain JavaScript, because threads do not inherit tsx. */

import * as ort from 'onnxruntime-node'
import { workerData } from 'piscina'

const session = await ort.InferenceSession.create(workerData.model, workerData.options)
const [input] = session.inputNames
const [output] = session.outputNames

export default async function run(floats) {
  const results = await session.run({ [input]: new ort.Tensor('float32', floats, [1, floats.length]) })
  const { data, dims } = results[output]
  return { data, dims }
}
