/**
 * Asks for the probabilities of classifiers as they are exported, and compares them with the dictionaries that Python gets of the same files:
 * `node test/interop/zipmap.mjs FOLDER`, with a folder that zipmap.py has filled.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createModelServer } from '../../dist/index.js'

const [folder] = process.argv.slice(2)
const { rows, models } = JSON.parse(readFileSync(join(folder, 'answers.json'), 'utf8'))
/** Another release of ONNX Runtime may round otherwise. */
const MOST = 1e-6

/** The fault of an output, if it has one. */
function faultOf(wanted, got, labels) {
  if (!got) return 'is not there'
  const isMap = typeof wanted[0] === 'object'
  if (!isMap) return wanted.every((value, i) => String(value) === String(got.data[i])) ? '' : 'differs'
  if (String([...labels].sort()) !== String(Object.keys(wanted[0]).sort())) return `has the labels ${labels}`
  if (String(got.dims) !== String([rows.length, labels.length])) return `has the shape ${got.dims}`
  const gaps = wanted.flatMap((row, r) => labels.map((label, c) => Math.abs(row[label] - got.data[r * labels.length + c])))
  worst = Math.max(worst, ...gaps)
  return Math.max(...gaps) <= MOST ? '' : `differs by ${Math.max(...gaps)}`
}

let worst = 0
let faults = 0
for (const [file, { input, outputs: wanted }] of Object.entries(models)) {
  const server = await createModelServer({ models: [{ name: 'm', source: join(folder, file) }], logger: false, strict: true })
  const { outputs } = await server.predict('m', { [input]: rows })
  const { labels = {} } = server.model('m')
  for (const [name, value] of Object.entries(wanted)) {
    const fault = faultOf(value, outputs[name], labels[name] ?? [])
    if (fault === '') continue
    faults++
    console.log(`  ${file}: ${name} ${fault}`)
  }
  await server.close()
}
console.log(`${Object.keys(models).length} models, ${faults} outputs that are not as in Python, largest difference ${worst}`)
process.exit(faults > 0 ? 1 : 0)
