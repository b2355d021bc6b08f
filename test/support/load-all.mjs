/**
 * Gives each of many files to ONNX Runtime itself, in one process, and tells what became of them. Arguments: a JSON file of path by name; a name
 * that ends with `from bytes` is loaded so.
 */

import { readFileSync } from 'node:fs'

process.env.ORT_DISABLE_TELEMETRY = '1'
const { default: ort } = await import('onnxruntime-node')
const outcomes = {}
for (const [what, path] of Object.entries(JSON.parse(readFileSync(process.argv[2], 'utf8')))) {
  try {
    const source = what.endsWith('from bytes') ? readFileSync(path) : path
    const session = await ort.InferenceSession.create(source, { logSeverityLevel: 4 })
    outcomes[what] = 'loaded'
    await session.release()
  } catch (error) {
    outcomes[what] = error.message
  }
}
process.stdout.write(JSON.stringify(outcomes))
