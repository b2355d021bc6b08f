/**
 * Hostile model files meet two lines: our scan, behind which no worker is started; and, with the scan off, ONNX Runtime in a child process,
 * behind which at least the host is unharmed.
 */

import { execFile } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { isModelmountError, type ModelServerOptions, type Telemetry } from 'modelmount'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import * as models from '../../tools/models.mjs'
import { attr, type GraphSpec, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { KINDS, pointing, traps } from '../support/hostile-models.ts'
import { POSIX } from '../support/needs.ts'
import { serverFor } from '../support/server.ts'

let dir: string
beforeAll(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'hostile-'))
})
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }))

const y = [value('y', 'float', [2])]
const modelOf = (parts: GraphSpec): Uint8Array => writeModel({ graph: { outputs: y, ...parts } })
const withWeights = (dims: readonly number[], bytes: number): Uint8Array =>
  modelOf({ nodes: [node('Identity', ['w'], ['y'])], initializers: [tensor('w', 'float', dims, new Uint8Array(bytes))] })
/** Ifs in each other's first branch: correct, and deep. */
function ifs(levels: number): Uint8Array {
  const constant = (elem: 'bool' | 'float', dims: readonly number[], data: readonly number[]) => ({
    value: attr.tensor(tensor('', elem, dims, data)),
  })
  const leaf = (name: string): GraphSpec => ({
    name,
    outputs: [value(name, 'float', [2])],
    nodes: [node('Constant', [], [name], constant('float', [2], [1, 2]))],
  })
  let inner = leaf('leaf')
  for (let i = 1; i <= levels; i++) {
    const name = i === levels ? 'y' : `y${i}`
    const branches = { then_branch: attr.graph(inner), else_branch: attr.graph(leaf(`else${i}`)) }
    const nodes = [node('Constant', [], [`c${i}`], constant('bool', [], [1])), node('If', [`c${i}`], [name], branches)]
    inner = { name: `level${i}`, outputs: [value(name, 'float', [2])], nodes }
  }
  return writeModel({ graph: inner })
}
const random = (length: number): Uint8Array => {
  let seed = 1
  return Uint8Array.from({ length }, () => {
    seed = (seed * 48271) % 2147483647
    return seed
  })
}
const FORGED = 'n\r\n\x1b[31m[E] all is lost'

/** By what is wrong: the bytes, and with what the load fails. */
const HOSTILE: Readonly<Record<string, readonly [bytes: Uint8Array, code: string, id?: string]>> = {
  empty: [new Uint8Array(0), 'MODEL_INVALID'],
  zeros: [new Uint8Array(4096), 'MODEL_INVALID'],
  'random bytes': [random(4096), 'MODEL_INVALID'],
  'cut off': [models.mlpModel().subarray(0, 1000), 'MODEL_INVALID'],
  'no graph': [Uint8Array.from([8, 8, 0x42, 2, 0x10, 17]), 'MODEL_INVALID'],
  '500 Ifs in each other': [ifs(500), 'MODEL_INVALID'],
  'Ifs in each other': [ifs(20), 'MODEL_UNSUPPORTED', 'subgraph-depth'],
  EPContext: [
    modelOf({ nodes: [node('EPContext', [], ['y'], {}, { domain: 'com.microsoft' })] }),
    'MODEL_UNSUPPORTED',
    'ep-context',
  ],
  'an operator of a library': [models.customOpModel(), 'MODEL_UNSUPPORTED', 'operator'],
  'a negative dimension': [withWeights([-2], 8), 'MODEL_UNSUPPORTED', 'tensor-dims'],
  'a dimension of 2^62': [withWeights([2 ** 62], 8), 'MODEL_UNSUPPORTED', 'tensor-dims'],
  'raw data of another size': [withWeights([2], 4), 'MODEL_UNSUPPORTED', 'tensor-bytes'],
  'a name that forges log lines': [
    modelOf({ nodes: [node('Nonsense', [], ['y'], {}, { name: FORGED })] }),
    'MODEL_UNSUPPORTED',
    'name-characters',
  ],
  'a tensor named __proto__': [
    modelOf({ nodes: [node('Identity', ['__proto__'], ['y'])], initializers: [tensor('__proto__', 'float', [2], [1, 2])] }),
    'MODEL_UNSUPPORTED',
    'name-prototype',
  ],
}

/** Only ONNX Runtime notices these; the scan follows no names. */
const LEFT_TO_THE_RUNTIME: Readonly<Record<string, Uint8Array>> = {
  'an operator that does not exist': modelOf({ nodes: [node('Nonsense', [], ['y'])] }),
  'a cycle': modelOf({ nodes: [node('Relu', ['z'], ['y']), node('Relu', ['y'], ['z'])] }),
}

/** Writes a model where its traps are. */
function placed(bytes: Uint8Array): string {
  const path = join(dir, 'm', 'model.onnx')
  fs.mkdirSync(join(path, '..'), { recursive: true })
  fs.writeFileSync(path, bytes)
  return path
}

describe('with the scan, no worker is started', () => {
  /** A server, and the steps of each load. */
  async function watched(options: Partial<ModelServerOptions> = {}) {
    const steps: string[][] = []
    const telemetry: Telemetry = { load: (end) => void steps.push(end.steps.map(({ name }) => name)) }
    const server = await serverFor({ models: [], telemetry, ...options })
    let count = 0
    const refusal = (source: string | Uint8Array): Promise<unknown> =>
      server.load({ name: `m${count++}`, source }).then(
        () => undefined,
        (error: unknown) => error,
      )
    return { refusal, steps, server }
  }

  test.each(['thread', 'process'] as const)('for what is wrong inside the file, tier %s', async (isolation) => {
    const { refusal, steps } = await watched({ isolation })
    for (const [what, [bytes, code, id]] of Object.entries(HOSTILE))
      for (const source of [placed(bytes), bytes]) {
        const error = await refusal(source)
        if (!isModelmountError(error)) throw new Error(`${what} was not refused`)
        // Bytes that are none are refused as an option.
        expect(error.code, what).toBe(source.length === 0 ? 'OPTIONS_INVALID' : code)
        expect(error.message, what).not.toMatch(/\p{Cc}/u)
        if (id) expect(error.details?.findings, what).toContainEqual(expect.objectContaining({ id, where: expect.any(String) }))
      }
    expect(steps).toHaveLength(2 * Object.keys(HOSTILE).length - 1)
    expect(steps.flat()).not.toContain('load')
  })

  test('for an .ort file that is called .onnx', async () => {
    const { refusal, steps } = await watched({ allowOrtFormat: true })
    const ort = Uint8Array.from([0x1c, 0, 0, 0, ...Buffer.from('ORTM'), ...new Uint8Array(100)])
    expect(await refusal(placed(ort))).toMatchObject({ code: 'MODEL_UNSUPPORTED', details: { format: 'ort' } })
    expect(steps.flat()).not.toContain('load')
  })

  test.each(KINDS)('for data elsewhere of a tensor that is %s', POSIX, async (kind) => {
    fs.rmSync(dir, { recursive: true, force: true })
    const { refusal, steps } = await watched()
    for (const [what, [external, id]] of Object.entries(traps(dir))) {
      const error = await refusal(placed(pointing(kind, external)))
      if (!isModelmountError(error)) throw new Error(`${what} was not refused`)
      const isMissing = id === 'external-missing' && !kind.includes('sparse')
      expect(error.code, what).toBe(isMissing ? 'MODEL_LOAD_FAILED' : 'MODEL_UNSUPPORTED')
      expect(error.details?.findings, what).toContainEqual(expect.objectContaining({ id }))
      expect(await refusal(pointing(kind, external)), what).toMatchObject({ code: 'MODEL_UNSUPPORTED' })
    }
    expect(await refusal(pointing(kind, { location: 'package.json' }))).toMatchObject({ code: 'MODEL_UNSUPPORTED' })
    expect(steps.flat()).not.toContain('load')
  })

  test('it can be switched off in code, but not by what lies beside a model', async () => {
    const repository = join(dir, 'repository')
    fs.mkdirSync(join(repository, 'm'), { recursive: true })
    fs.writeFileSync(join(repository, 'm/model.onnx'), models.addModel())
    fs.writeFileSync(join(repository, 'm/model.json'), '{"scan":"off"}')
    const server = await serverFor({ repository })
    expect(server.model('m')).toMatchObject({ state: 'failed', reason: { code: 'CONFIG_INVALID' } })
    await expect(serverFor({ models: [], scan: 'never' as 'off' })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
  })
})

describe('without the scan, in a child', POSIX, () => {
  test('a load fails with an error of ours, and the host goes on', async () => {
    fs.rmSync(dir, { recursive: true, force: true })
    const places = traps(dir)
    const server = await serverFor({ models: [{ name: 'ok', source: models.addModel() }], isolation: 'process', scan: 'off' })
    const bad: Record<string, Uint8Array> = {
      ...LEFT_TO_THE_RUNTIME,
      ...Object.fromEntries(
        ['a negative dimension', 'a dimension of 2^62', 'raw data of another size', 'a name that forges log lines'].map(
          (what) => [what, HOSTILE[what]?.[0] as Uint8Array],
        ),
      ),
      absolute: pointing('Constant', places.absolute?.[0] as { location: string }),
    }
    let count = 0
    await Promise.all(
      Object.entries(bad).map(async ([what, bytes]) => {
        const name = `bad${count++}`
        const path = join(dir, 'm', `${name}.onnx`)
        fs.writeFileSync(path, bytes)
        const error = await server.load({ name, source: path }).catch((thrown: unknown) => thrown)
        if (!isModelmountError(error)) throw new Error(`${what} was not refused`)
        expect(error.code, what).toMatch(/^MODEL_(INVALID|UNSUPPORTED|LOAD_FAILED)$/)
        expect(error.message, what).not.toMatch(/\p{Cc}/u)
      }),
    )
    expect(server.model('ok').state).toBe('ready')
    // Opening it waits for a writer that never comes: the child is given up.
    const waiting = join(dir, 'm', 'waiting.onnx')
    fs.writeFileSync(waiting, pointing('initializer', { location: 'fifo' }))
    await expect(server.load({ name: 'waiting', source: waiting, loadTimeoutMs: 1000 })).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
    })
    expect((await server.predict('ok', { a: [[1, 2, 3, 4]], b: [[4, 3, 2, 1]] })).outputs).toBeDefined()
  })

  test('what ONNX Runtime itself makes of them: it ends none of its processes, and reads some secrets', async () => {
    fs.rmSync(dir, { recursive: true, force: true })
    const files: Record<string, string> = {}
    const add = (what: string, bytes: Uint8Array): void => {
      files[what] = join(dir, 'm', `${Object.keys(files).length}.onnx`)
      fs.writeFileSync(files[what], bytes)
    }
    // Opening that would wait for a writer.
    for (const [what, [external]] of Object.entries(traps(dir)))
      if (what !== 'a pipe') for (const kind of KINDS) add(`${kind}: ${what}`, pointing(kind, external))
    for (const [what, [bytes]] of Object.entries(HOSTILE)) add(what, bytes)
    for (const [what, bytes] of Object.entries(LEFT_TO_THE_RUNTIME)) add(what, bytes)
    // From bytes, a place is looked for below the working directory.
    for (const kind of KINDS) add(`${kind}, from bytes`, pointing(kind, { location: 'fine' }))
    fs.writeFileSync(join(dir, 'files.json'), JSON.stringify(files))
    const child = fileURLToPath(new URL('../support/load-all.mjs', import.meta.url))
    // Rejects when the child ends otherwise than with 0.
    const { stdout } = await promisify(execFile)(process.execPath, [child, join(dir, 'files.json')], {
      cwd: join(dir, 'm'),
      timeout: 60_000,
    })
    const outcomes = JSON.parse(stdout) as Record<string, string>
    expect(Object.keys(outcomes)).toEqual(Object.keys(files))
    const loaded = Object.keys(outcomes).filter((what) => outcomes[what] === 'loaded')
    expect(loaded).toEqual(
      expect.arrayContaining([
        ...KINDS.map((kind) => `${kind}: a hard link`),
        'sparse_initializer, from bytes',
        'Constant.sparse_value, from bytes',
      ]),
    )
    expect(loaded.filter((what) => /symbolic|absolute|up|dev|address/.test(what))).toEqual([])
  })
})

test('no option of a session makes ONNX Runtime write a file or read another format, in code or beside a model', async () => {
  const sessions: readonly object[] = [
    { optimizedModelFilePath: 'x' },
    { profileFilePrefix: 'x' },
    { extra: { 'session.collect_node_memory_stats_to_file': 'x' } },
    { extra: { 'ep.context_file_path': 'x' } },
  ]
  const repository = fs.mkdtempSync(join(tmpdir(), 'sessions-'))
  onTestFinished(() => fs.rmSync(repository, { recursive: true, force: true }))
  fs.mkdirSync(join(repository, 'm'))
  fs.writeFileSync(join(repository, 'm/model.onnx'), models.addModel())
  for (const session of sessions) {
    await expect(serverFor({ models: [{ name: 'm', source: models.addModel(), session }] })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining('is not an option'),
    })
    fs.writeFileSync(join(repository, 'm/model.json'), JSON.stringify({ session }))
    const server = await serverFor({ repository })
    expect(server.model('m')).toMatchObject({ state: 'failed', reason: { code: 'CONFIG_INVALID' } })
  }
})
