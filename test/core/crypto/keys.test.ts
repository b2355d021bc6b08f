/** Keys from outside: taken as they are, or refused with the field and without a byte of them. */

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { keysFromEnv, keysFromFile, keysFromJson } from 'modelmount'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { checkKey } from '../../../src/core/crypto/keys.ts'

const BYTES = randomBytes(32)
const OLD = randomBytes(32)
const JSON_TEXT = JSON.stringify({
  current: '2026-11',
  keys: { '2026-11': BYTES.toString('base64'), '2026-05': OLD.toString('base64') },
})
const NOW = { id: '2026-11', key: new Uint8Array(BYTES) }

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'modelmount-keys-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true })
})

describe('from a file', () => {
  test.each([
    ['path', (path: string) => path],
    ['URL', pathToFileURL],
  ])('named by a %s', async (_, named) => {
    const path = join(dir, 'keys.json')
    writeFileSync(path, JSON_TEXT)
    const keys = await keysFromFile(named(path))
    expect(keys.current()).toEqual(NOW)
    expect(keys.byId('2026-05')).toEqual({ id: '2026-05', key: new Uint8Array(OLD) })
    expect(keys.byId('2025-11')).toBeUndefined()
  })

  test('that is missing, and one that holds no keys', async () => {
    await expect(keysFromFile(join(dir, 'none.json'))).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringMatching(/none\.json.*ENOENT/),
      cause: expect.objectContaining({ code: 'ENOENT' }),
    })
    writeFileSync(join(dir, 'keys.json'), '[]')
    await expect(keysFromFile(join(dir, 'keys.json'))).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      details: { field: 'key file: keys' },
    })
  })
})

describe('from the environment', () => {
  test('under the usual name, and under another', () => {
    vi.stubEnv('MODELMOUNT_KEYS', JSON_TEXT)
    expect(keysFromEnv().current()).toEqual(NOW)
    vi.stubEnv('MODELMOUNT_KEYS', undefined)
    vi.stubEnv('OTHER_KEYS', JSON_TEXT)
    expect(keysFromEnv('OTHER_KEYS').current()).toEqual(NOW)
  })

  test('that has no such variable, or no keys in it', () => {
    vi.stubEnv('MODELMOUNT_KEYS', undefined)
    const field = 'environment variable MODELMOUNT_KEYS'
    expect(() => keysFromEnv()).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', details: { field, expected: 'set', got: 'nothing' } }),
    )
    vi.stubEnv('MODELMOUNT_KEYS', '{')
    expect(() => keysFromEnv()).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', details: expect.objectContaining({ field }) }),
    )
  })
})

test.each<readonly [string, string, string]>([
  ['null', 'null', 'x: keys'],
  ['keys that are null', '{"current":"a","keys":null}', 'x: keys'],
  ['a key that is a number', '{"current":"a","keys":{"a":7}}', 'x: keys["a"]'],
  ['a key of 31 bytes', `{"current":"a","keys":{"a":"${randomBytes(31).toString('base64')}"}}`, 'x: keys["a"].key'],
  ['a current that is no id', `{"current":7,"keys":{"a":"${BYTES.toString('base64')}"}}`, 'x: current'],
  ['an id of other characters', `{"current":"ä","keys":{"ä":"${BYTES.toString('base64')}"}}`, 'x: keys["ä"].id'],
])('%s is refused, with its place', (_, text, field) => {
  expect(() => keysFromJson(text, 'x')).toThrow(
    expect.objectContaining({ code: 'OPTIONS_INVALID', details: expect.objectContaining({ field }) }),
  )
})

describe('what a provider gives', () => {
  test.each(['a', '~ !', 'k'.repeat(128)])('an id such as %j', (id) => {
    expect(checkKey({ id, key: NOW.key }, 'f')).toEqual({ id, key: NOW.key })
  })

  test.each<readonly [unknown, string, string]>([
    [undefined, 'f.id', 'undefined'],
    [null, 'f.id', 'undefined'],
    ['a', 'f.id', 'undefined'],
    [{ id: 7, key: NOW.key }, 'f.id', 'number'],
    [{ id: '', key: NOW.key }, 'f.id', 'another string'],
    [{ id: 'a\n', key: NOW.key }, 'f.id', 'another string'],
    [{ id: '\na', key: NOW.key }, 'f.id', 'another string'],
    [{ id: 'k'.repeat(129), key: NOW.key }, 'f.id', 'another string'],
    [{ id: 'a' }, 'f.key', 'undefined'],
    [{ id: 'a', key: BYTES.toString('base64') }, 'f.key', 'string'],
    [{ id: 'a', key: new Uint8Array(33) }, 'f.key', '33 bytes'],
  ])('%j is no key', (given, field, got) => {
    expect(() => checkKey(given, 'f')).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', details: { field, got, expected: expect.any(String) } }),
    )
  })
})
