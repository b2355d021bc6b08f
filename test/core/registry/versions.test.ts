/** Which folders of a model are versions, over generated names, and what everything that reads them makes of it. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { collect } from '../../../src/cli/typegen/collect.ts'
import { scanRepository } from '../../../src/core/registry/repository.ts'
import { compareVersions, isVersionNumber } from '../../../src/core/registry/versions.ts'
import { watch } from '../../support/events.ts'
import { callerOf } from '../../support/mount.ts'
import { serverFor } from '../../support/server.ts'
import { constantOf } from '../../support/small-models.ts'
import { type Files, plant, treeFor } from '../../support/tree.ts'

const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url))
const HIGHEST = 2n ** 63n - 1n

/** Written another way than the code: a version is how the integer itself is written. */
function isVersion(name: string): boolean {
  if (!/^[0-9]+$/.test(name)) return false
  const value = BigInt(name)
  return String(value) === name && value >= 1n && value <= HIGHEST
}

const NOT_VERSIONS = [
  '0',
  '00',
  '01',
  '1.0',
  '+1',
  '-1',
  '1e3',
  '0x10',
  '1_000',
  '2.tmp',
  '.1',
  '1 (copy)',
  ' 1',
  '1 ',
  '1~',
  '١',
  '１',
  String(HIGHEST + 1n),
  String(2n ** 64n),
  '9'.repeat(40),
  'backup',
  'tmp',
  'latest',
  'v1',
  'NaN',
  'Infinity',
  '__proto__',
]

/** Digits with something before, between or after them, words, and numbers around the bounds that matter. */
const folderName = fc
  .oneof(
    { weight: 3, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String) },
    { weight: 3, arbitrary: fc.nat({ max: 30 }).map(String) },
    fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 53n + 1n, HIGHEST, HIGHEST + 1n).map(String),
    fc.tuple(fc.constantFrom('0', '+', '-', '.', ' ', 'v', '_'), fc.nat({ max: 99 })).map(([before, n]) => `${before}${n}`),
    fc
      .tuple(fc.nat({ max: 99 }), fc.constantFrom('.0', '.tmp', '~', ' (copy)', '-rc1', 'e3', ' '))
      .map(([n, after]) => `${n}${after}`),
    fc.stringMatching(/^[a-z][a-z0-9_.-]{0,12}$/),
    fc.constantFrom(...NOT_VERSIONS),
  )
  .filter((name) => name !== '.' && name !== '..' && !/\.(onnx|ort|enc)$/.test(name))

function emptyDirectory(): string {
  const root = mkdtempSync(join(tmpdir(), 'modelmount-versions-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  return root
}

describe('a folder of a model', () => {
  test.each(NOT_VERSIONS)('%j is no version', (name) => {
    expect(isVersionNumber(name)).toBe(false)
  })

  test('is a version or warned of, whatever it is called', async () => {
    const root = emptyDirectory()
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(folderName, { minLength: 1, maxLength: 12 }), async (names) => {
        const repository = join(root, String(run++))
        plant(repository, Object.fromEntries(names.map((name) => [`m/${name}/model.onnx`, 'any bytes'])))
        const { models, ignored } = await scanRepository(repository, 'all')
        const versions = names.filter(isVersion).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1))
        expect(models.map(({ version }) => version)).toEqual(versions)
        const warned = ignored.map(({ path }) => path)
        // A hidden folder is ignored, unless it is called like a version.
        for (const name of names)
          if (!isVersion(name) && !(name.startsWith('.') && !/^\.\d/.test(name)))
            expect(warned, name).toContain(join(repository, 'm', name))
        if (versions.length > 0) expect(warned).toHaveLength(names.length - versions.length)
        const { models: latest } = await scanRepository(repository, { latest: 2 })
        expect(latest.map(({ version }) => version)).toEqual(versions.slice(-2))
      }),
      { numRuns: 150 },
    )
  })

  test('with labels or warm-up data is none, and nothing is said of it; an empty one that is called like a version is warned of', async () => {
    const repository = treeFor({
      'm/1/model.onnx': 'x',
      'm/warmup/x.bin': '',
      'm/labels/readme.txt': '',
      'm/..2024/model.onnx': 'x',
    })
    mkdirSync(join(repository, 'm/07'))
    mkdirSync(join(repository, 'm/.1'))
    const { models, ignored } = await scanRepository(repository)
    expect(models.map(({ version }) => version)).toEqual(['1'])
    expect(ignored.map(({ path }) => path).sort()).toEqual(['.1', '07'].map((name) => join(repository, 'm', name)))
  })
})

test('the order is total, and exact where floats are not', () => {
  const version = fc.oneof(
    fc.bigInt({ min: 1n, max: HIGHEST }).map(String),
    fc.bigInt({ min: 2n ** 53n - 4n, max: 2n ** 53n + 4n }).map(String),
    fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,6}$/),
  )
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      expect(Math.sign(compareVersions(a, b))).toBe(-Math.sign(compareVersions(b, a)) + 0)
      if (a !== b) expect(compareVersions(a, b)).not.toBe(0)
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) expect(compareVersions(a, c)).toBeLessThanOrEqual(0)
      if (isVersion(a) && isVersion(b)) expect(compareVersions(a, b) < 0).toBe(BigInt(a) < BigInt(b))
    }),
    { numRuns: 2000 },
  )
})

describe('a folder in place of a model file', () => {
  const sourceIn = async (files: Files): Promise<string | undefined> => {
    const root = treeFor(Object.fromEntries(Object.entries(files).map(([path, bytes]) => [`m/1/model.onnx/${path}`, bytes])))
    const { models } = await scanRepository(root)
    return models[0] && relative(join(root, 'm/1'), models[0].source)
  }

  test('holds the file of the same name, or the only one there is', async () => {
    expect(await sourceIn({ 'other.onnx': 'x', 'model.onnx': 'x', 'weights.bin': 'x' })).toBe('model.onnx/model.onnx')
    expect(await sourceIn({ 'other.onnx': 'x', 'weights.bin': 'x' })).toBe('model.onnx/other.onnx')
  })

  test.each([[['a.onnx', 'b.onnx']], [['a.onnx', 'b.ort']], [['a.onnx', 'a.onnx.enc']], [['a.onnx', 'b.onnx', 'c.onnx']]])(
    'is not guessed about: %j',
    async (names) => {
      expect(await sourceIn(Object.fromEntries(names.map((name) => [name, 'x'])))).toBe('model.onnx')
      const repository = treeFor(Object.fromEntries(names.map((name, i) => [`m/1/model.onnx/${name}`, constantOf(i)])))
      const server = await serverFor({ repository })
      expect(server.model('m')).toMatchObject({ state: 'failed', reason: { message: expect.stringContaining('is a directory') } })
    },
  )
})

describe('everything that reads a repository', () => {
  const [below, above] = [String(2n ** 53n), String(2n ** 53n + 1n)]
  const files = {
    [`m/${below}/model.onnx`]: constantOf(1),
    [`m/${above}/model.onnx`]: constantOf(2),
    ...Object.fromEntries(
      ['backup', 'tmp', '2.tmp', '01', '1.0', '.1', '1 (copy)', '9'.repeat(19)].map((name) => [
        `m/${name}/model.onnx`,
        constantOf(66),
      ]),
    ),
  }

  test('agrees: the default, the routes, the index, typegen and lock', async () => {
    const repository = treeFor(files)
    const warnings: string[] = []
    const logger = { info() {}, warn: (line: string) => warnings.push(line), error() {} }
    const server = await serverFor({ repository, logger })
    expect(server.models().map(({ version, isDefault }) => [version, isDefault])).toEqual([
      [below, false],
      [above, true],
    ])
    expect((await server.predict('m', {})).outputs.y?.data[0]).toBe(2)
    for (const name of ['backup', 'tmp', '2.tmp', '01', '1.0', '.1', '1 (copy)', '9'.repeat(19)])
      expect(warnings.filter((line) => line.startsWith(`${join(repository, 'm', name)} is not served: `))).toHaveLength(1)
    const { post, get } = callerOf(server.http.mount({ management: true }))
    expect(await get(`/v2/models/m/versions/${above}`)).toMatchObject({ status: 200 })
    for (const name of ['2.tmp', '01', 'backup'])
      expect(await get(`/v2/models/m/versions/${name}`)).toMatchObject({ status: 404 })
    const rows = (await post('/v2/repository/index')).json as { version: string }[]
    expect(rows.map(({ version }) => version)).toEqual([below, above])
    const types = await collect(repository)
    expect(types.models).toMatchObject([{ name: 'm', version: above, others: [below] }])
    expect(types.ignored).toHaveLength(8)
    const lock = spawnSync(process.execPath, [CLI, 'lock', repository], { encoding: 'utf8' })
    expect(lock.stderr.match(/ is not locked: versions are whole numbers/g)).toHaveLength(8)
    const { models } = JSON.parse(readFileSync(join(repository, 'models.lock.json'), 'utf8')) as { models: { version: string }[] }
    expect(models.map(({ version }) => version)).toEqual([below, above])
  })

  test('a version policy names one of two that are the same float', async () => {
    const config = `version_policy { specific { versions: [ ${above} ] } }`
    const { models } = await scanRepository(treeFor({ ...files, 'm/config.pbtxt': config }))
    expect(models.map(({ version }) => version)).toEqual([above])
  })

  test('code may call its versions otherwise', async () => {
    const server = await serverFor({ models: ['v9', 'v10'].map((version) => ({ name: 'm', version, source: constantOf(1) })) })
    const events = watch(server)
    await server.load({ name: 'm', version: '2026-11-30', source: constantOf(2) })
    expect(server.models().map(({ version }) => version)).toEqual(['2026-11-30', 'v9', 'v10'])
    expect(events.seen.filter(({ type }) => type === 'warning')).toEqual([])
  })
})
