/** The way of packed bodies to their decoder: large ones two at a time until they are decoded, small ones past them. */

import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createInFlight } from '../../../src/core/http/inflight.ts'
import { received } from '../../../src/core/http/received.ts'
import { turns } from '../../support/server.ts'

const LARGE = gzipSync(Buffer.alloc(20_000, 'x'), { level: 0 })
const SMALL = gzipSync('x')

test('what may unpack to much waits for what is being decoded, in order; what cannot does not; who goes away leaves the line', async () => {
  const inFlight = createInFlight(10_000_000)
  const decoding: string[] = []
  const ends = new Map<string, () => void>()
  const ask = (name: string, body: Uint8Array, signal?: AbortSignal) => {
    const request = { method: 'POST', path: '/', headers: { 'content-encoding': 'gzip' }, body, held: inFlight.hold(), signal }
    return received(request, 100_000, () => {
      decoding.push(name)
      return new Promise<string>((resolve) => ends.set(name, () => resolve(name)))
    }) as Promise<string>
  }
  const decodes = (names: readonly string[]) => expect.poll(() => decoding).toEqual(names)
  const stop = new AbortController()
  const first = ask('first', LARGE)
  await decodes(['first'])
  const second = ask('second', LARGE)
  await decodes(['first', 'second'])
  const gone = ask('gone', LARGE, stop.signal)
  const third = ask('third', LARGE)
  const small = ask('small', SMALL)
  await decodes(['first', 'second', 'small'])
  stop.abort()
  await expect(gone).rejects.toMatchObject({ code: 'ABORTED' })
  await turns()
  expect(decoding).toEqual(['first', 'second', 'small'])
  ends.get('first')?.()
  expect(await first).toBe('first')
  await decodes(['first', 'second', 'small', 'third'])
  for (const name of ['second', 'small', 'third']) ends.get(name)?.()
  expect(await Promise.all([second, small, third])).toEqual(['second', 'small', 'third'])
})

test('one that fails gives up its place, whether it cannot be unpacked or decoded', async () => {
  const held = createInFlight(10_000_000).hold()
  const ask = (body: Uint8Array, decode: () => string) =>
    received({ method: 'POST', path: '/', headers: { 'content-encoding': 'gzip' }, body, held }, 100_000, decode)
  const fails = (): never => {
    throw new RangeError('not what it should be')
  }
  for (let i = 0; i < 5; i++) {
    await expect(ask(LARGE.subarray(0, 15_000), () => '')).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
    await expect(ask(LARGE, fails)).rejects.toThrow(RangeError)
  }
  expect(await ask(LARGE, () => 'done')).toBe('done')
})
