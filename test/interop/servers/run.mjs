/**
 * modelmount on Fastify beside other model servers: `node test/interop/servers/run.mjs [--folder DIR] [NAME…]`, after `npm run build`.
 * Prints requests per second and CPU time per request. A report: nothing passes or fails. The servers in Python are installed by pip into
 * environments of their own, the native one is built by cargo. A server that cannot be installed or started is skipped, with a line that says why.
 * A folder that is given stays, with all that was installed; otherwise it is a temporary one.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { encoderModel, mlpModel } from '../../../tools/models.mjs'
import { GENERATOR, loadOf } from './load.mjs'
import { startServer } from './processes.mjs'
import { OURS, RIVALS } from './rivals.mjs'

const FEATURES = 32
const WORDS = 1000
const BODIES = 16
const PAIRS = 3
const WARM_MS = 1000
const TURN_MS = 2000
const TOLERANCE = 1e-3

const random = (least, most) => least + Math.floor(Math.random() * (most - least + 1))

/** Rows of each model. */
const ROWS = {
  tiny: () => [{ name: 'features', datatype: 'FP32', shape: [1, FEATURES], data: Array.from({ length: FEATURES }, Math.random) }],
  encoder() {
    const length = random(3, 12)
    const row = (name, data) => ({ name, datatype: 'INT64', shape: [1, length], data })
    const ids = Array.from({ length }, () => random(0, WORDS - 1))
    return [
      row('ids', ids),
      row(
        'mask',
        ids.map(() => 1),
      ),
    ]
  },
}
/** Asked for by name where a model has others. */
const WANTED = { tiny: undefined, encoder: 'pooled' }

const CELLS = [
  { model: 'tiny', connections: 1 },
  { model: 'tiny', connections: 64 },
  { model: 'encoder', connections: 64 },
]

const rows = Object.fromEntries(Object.entries(ROWS).map(([model, row]) => [model, Array.from({ length: BODIES }, row)]))
const bodiesOf = ({ body }, model) => rows[model].map((inputs) => JSON.stringify(body(inputs, WANTED[model])))

/** The first answer of a server. */
async function answerOf(kind, model, port) {
  const [body] = bodiesOf(kind, model)
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`http://127.0.0.1:${port}${kind.path(model)}`, { method: 'POST', headers, body })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${model}: status ${response.status}: ${text.slice(0, 300)}`)
  return kind.dataOf(JSON.parse(text))
}

const start = (kind, folder) =>
  startServer(kind.prepare(folder), async (port) => {
    for (const model of Object.keys(ROWS)) await answerOf(kind, model, port)
  })

async function assertSame(model, ours, theirs) {
  const [mine, other] = [await answerOf(OURS, model, ours.port), await answerOf(theirs.kind, model, theirs.port)]
  const isClose = mine.length === other.length && mine.every((value, i) => Math.abs(value - other[i]) <= TOLERANCE)
  if (!isClose) throw new Error(`${model}: ${mine.slice(0, 3)}… here, ${other.slice(0, 3)}… there`)
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

/** Turns of both, one after the other, while both are up. */
async function measure({ model, connections }, sides, folder) {
  const turns = sides.map(() => [])
  for (let turn = 0; turn <= PAIRS; turn++)
    for (const [i, { kind, port, cpuMs }] of sides.entries()) {
      const load = loadOf(folder, `${model}-${i}`, kind.path(model), bodiesOf(kind, model))
      const before = cpuMs()
      const { answered, rate } = await load({ port, connections, ms: turn === 0 ? WARM_MS : TURN_MS })
      if (turn > 0) turns[i].push({ rate, cpu: (cpuMs() - before) / answered })
    }
  const [ours, theirs] = turns
  const of = (side, figure) => median(side.map((turn) => turn[figure]))
  return {
    ratio: median(ours.map(({ rate }, i) => rate / theirs[i].rate)),
    rates: [of(ours, 'rate'), of(theirs, 'rate')],
    cpus: [of(ours, 'cpu'), of(theirs, 'cpu')],
  }
}

async function compare(name, kind, folder) {
  const ours = { kind: OURS, ...(await start(OURS, folder)) }
  let theirs
  try {
    theirs = { kind, ...(await start(kind, folder)) }
    for (const model of Object.keys(ROWS)) await assertSame(model, ours, theirs)
    await sleep(WARM_MS)
    for (const cell of CELLS) {
      const { ratio, rates, cpus } = await measure(cell, [ours, theirs], folder)
      const rate = rates.map((value) => value.toFixed(0)).join(' / ')
      const cpu = cpus.map((value) => value.toFixed(3)).join(' / ')
      console.log(`| ${name} | ${cell.model}, ${cell.connections} | ${rate} | ${ratio.toFixed(2)} | ${cpu} |`)
    }
  } catch (error) {
    console.log(`| ${name} | skipped: ${error.message.split('\n').join(' ').slice(0, 300)} | | | |`)
  } finally {
    await theirs?.stop()
    await ours.stop()
  }
}

const { values, positionals } = parseArgs({ options: { folder: { type: 'string' } }, allowPositionals: true })
const unknown = positionals.filter((name) => !(name in RIVALS))
if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(', ')}; known are ${Object.keys(RIVALS).join(', ')}`)
const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'modelmount-servers-'))
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'tiny.onnx'), mlpModel({ layers: [FEATURES, 16, 2] }))
writeFileSync(join(folder, 'encoder.onnx'), encoderModel({ vocabulary: WORDS, width: 128 }))

console.log(`Node ${process.version}, ${cpus().length} CPUs (${cpus()[0]?.model}), load by ${GENERATOR}; ours / theirs\n`)
console.log('| server | model, connections | requests/s | ratio | CPU ms per request |\n|---|---|---|---|---|')
for (const name of positionals.length > 0 ? positionals : Object.keys(RIVALS)) await compare(name, RIVALS[name], folder)
if (values.folder === undefined) rmSync(folder, { recursive: true, force: true })
