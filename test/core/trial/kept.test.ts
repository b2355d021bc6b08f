/** Proofs on disk: one is used only as it was written, and only for what it was made of. A fault of the folder costs nothing else. */

import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { decode, encode, type KeptProof } from '../../../src/core/trial/kept/entry.ts'
import { digestOf, KEY_PARTS, nameOf, type ProofKey } from '../../../src/core/trial/kept/key.ts'
import { createProofs } from '../../../src/core/trial/kept/proofs.ts'

const root = mkdtempSync(join(tmpdir(), 'kept-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const freshDir = (): string => mkdtempSync(join(root, 'd-'))

const text = fc.string({ maxLength: 20 })
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const ms = fc.double({ min: 0, max: 1e6, noNaN: true }).map((x) => x + 0)
const sizes = fc.uniqueArray(fc.integer({ min: 1, max: 1024 }), { maxLength: 8 }).map((all) => all.sort((a, b) => a - b))
const proofs: fc.Arbitrary<KeptProof> = fc.record({
  found: fc.record({
    lack: maybe(text),
    refuted: maybe(text),
    padding: maybe(text),
    sizes,
    made: maybe(fc.record({ free: fc.nat(224), ranges: fc.array(fc.tuple(text, fc.nat(1000)), { maxLength: 3 }) })),
    example: maybe(fc.nat(5)),
  }),
  rows: fc.nat(16),
  mixing: maybe(text),
  points: sizes.chain((all) => fc.tuple(...all.map((rows) => fc.record({ rows: fc.constant(rows), ms, copyMs: ms })))),
  provider: text,
  at: fc.nat(),
})
const keys: fc.Arbitrary<ProofKey> = fc.record({
  prover: text,
  runtime: text,
  cpu: text,
  model: text,
  tier: text,
  options: text,
})

const KEY: ProofKey = { prover: '1/1', runtime: '1.30.0', cpu: 'c', model: 'sha256:m', tier: 'thread', options: 'o' }
const PROOF: KeptProof = {
  found: { lack: undefined, refuted: undefined, padding: undefined, sizes: [1, 2], made: { free: 16, ranges: [] }, example: 0 },
  rows: 3,
  mixing: undefined,
  points: [
    { rows: 1, ms: 1, copyMs: 0 },
    { rows: 2, ms: 1.1, copyMs: 0.1 },
  ],
  provider: 'cpu',
  at: 1000,
}

describe('an entry', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(keys, proofs, (key, proof) => {
        expect(decode(encode(key, proof), key)).toEqual(proof)
      }),
    )
  })

  test('that has lost or changed a character is not used', () => {
    const written = encode(KEY, PROOF).trimEnd()
    fc.assert(
      fc.property(fc.nat(written.length - 1), fc.string({ maxLength: 2 }), (at, other) => {
        fc.pre(other !== written[at])
        expect(decode(written.slice(0, at) + other + written.slice(at + 1), KEY)).toBeTypeOf('string')
      }),
    )
    for (let length = 0; length < written.length; length += 7) expect(decode(written.slice(0, length), KEY)).toBeTypeOf('string')
  })

  test.each(KEY_PARTS)('of another %s is not used, and says so', (part) => {
    expect(decode(encode({ ...KEY, [part]: 'other' }, PROOF), KEY)).toBe(`is of another ${part}`)
    expect(nameOf({ ...KEY, [part]: 'other' })).not.toBe(nameOf(KEY))
  })

  test('with a right digest and a wrong content is not used', () => {
    const wrong: unknown[] = [
      undefined,
      null,
      [],
      { ...PROOF, rows: -1 },
      { ...PROOF, points: [...PROOF.points].reverse() },
      { ...PROOF, points: [{ rows: 1, ms: 'fast', copyMs: 0 }] },
      { ...PROOF, mixing: 7 },
      { ...PROOF, provider: undefined },
      { ...PROOF, found: { ...PROOF.found, sizes: [2, 1] } },
      { ...PROOF, found: { ...PROOF.found, made: { free: 16 } } },
      { ...PROOF, found: { ...PROOF.found, refuted: true } },
    ]
    for (const proof of wrong) {
      const body = JSON.stringify({ format: 1, key: KEY, proof })
      expect(decode(JSON.stringify({ sha256: digestOf(body), body }), KEY)).toBe('has another format')
    }
    const body = JSON.stringify({ format: 1, key: { ...KEY, more: 'x' }, proof: PROOF })
    expect(decode(JSON.stringify({ sha256: digestOf(body), body }), KEY)).toMatch(/another key/)
  })
})

describe('a folder of them', () => {
  const open = (cacheDirectory: string, wallNow = () => 2000) => {
    const warnings: string[] = []
    const kept = createProofs({ cacheDirectory, wallNow })
    return { warnings, keep: kept.keep, find: (key = KEY) => kept.find(key, (message) => warnings.push(message)) }
  }

  test('gives to a later start what an earlier one has kept', async () => {
    const dir = freshDir()
    const first = open(dir)
    expect(await first.find()).toBeUndefined()
    await first.keep(KEY, PROOF)
    const later = open(dir)
    expect(await later.find()).toEqual(PROOF)
    expect(await later.find({ ...KEY, cpu: 'another' })).toBeUndefined()
    expect([...first.warnings, ...later.warnings]).toEqual([])
    expect(readdirSync(join(dir, 'proofs'))).toEqual([nameOf(KEY)])
  })

  test.each([
    ['damaged', (path: string) => writeFileSync(path, '{"sha256":'), /is damaged/],
    ['edited by hand', (path: string) => writeFileSync(path, readFileSync(path, 'utf8').replace('1.1', '0.1')), /was changed/],
    ['of another model', (path: string) => writeFileSync(path, encode({ ...KEY, model: 'sha256:x' }, PROOF)), /another model/],
    ['of another CPU', (path: string) => writeFileSync(path, encode({ ...KEY, cpu: 'x' }, PROOF)), /another cpu/],
    ['of another runtime', (path: string) => writeFileSync(path, encode({ ...KEY, runtime: '9' }, PROOF)), /another runtime/],
    ['huge', (path: string) => writeFileSync(path, Buffer.alloc(2 ** 20, 'x')), /is damaged/],
  ])('warns once of an entry that is %s, and replaces it', async (_, spoil, reason) => {
    const dir = freshDir()
    await open(dir).keep(KEY, PROOF)
    spoil(join(dir, 'proofs', nameOf(KEY)))
    const later = open(dir)
    expect(await later.find()).toBeUndefined()
    expect(later.warnings).toEqual([expect.stringMatching(reason)])
    await later.keep(KEY, PROOF)
    expect(await open(dir).find()).toEqual(PROOF)
  })

  test('follows no link', async () => {
    const dir = freshDir()
    await open(dir).keep(KEY, PROOF)
    const path = join(dir, 'proofs', nameOf(KEY))
    const elsewhere = join(freshDir(), 'entry')
    writeFileSync(elsewhere, readFileSync(path))
    rmSync(path)
    symlinkSync(elsewhere, path)
    const later = open(dir)
    expect(await later.find()).toBeUndefined()
    expect(later.warnings).toEqual([expect.stringMatching(/cannot be read/)])
  })

  test('that cannot be used or written is no fault: nothing is kept beyond this server', async () => {
    const file = join(freshDir(), 'file')
    writeFileSync(file, '')
    const sealed = freshDir()
    chmodSync(sealed, 0o500)
    onTestFinished(() => chmodSync(sealed, 0o700))
    for (const dir of [file, join(file, 'below'), sealed]) {
      const { find, keep, warnings } = open(dir)
      expect(await find()).toBeUndefined()
      await keep(KEY, PROOF)
      expect([await find(), warnings]).toEqual([PROOF, []])
    }
  })

  test('an old entry is proved again, and one of the future too', async () => {
    const dir = freshDir()
    await open(dir).keep(KEY, PROOF)
    const days = 24 * 3_600_000
    expect(await open(dir, () => 1000 + 6 * days).find()).toEqual(PROOF)
    expect(await open(dir, () => 1000 + 8 * days).find()).toBeUndefined()
    expect(await open(dir, () => 1000 - 8 * days).find()).toBeUndefined()
  })

  test('many that write at once leave one whole entry, and every reader meanwhile finds a whole one or none', async () => {
    const dir = freshDir()
    const writers = Array.from({ length: 8 }, () => open(dir))
    const found: unknown[] = []
    await Promise.all(
      writers.map(async ({ keep }, i) => {
        for (let turn = 0; turn < 10; turn++) {
          await keep(KEY, { ...PROOF, rows: i })
          const reader = open(dir)
          found.push(await reader.find(), ...reader.warnings)
        }
      }),
    )
    expect(found).toHaveLength(80)
    for (const one of found) expect(one).toEqual({ ...PROOF, rows: expect.any(Number) })
    expect(readdirSync(join(dir, 'proofs'))).toEqual([nameOf(KEY)])
  })
})
