import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApp } from '../../examples/express/app.ts'
import { card, type Score } from '../../examples/express/score.ts'
import type { Speech } from '../../examples/express/vad.ts'

const SAMPLE = readFileSync(new URL('../../examples/express/speech.wav', import.meta.url))
const GENTOO = { culmen_length_mm: 46.1, culmen_depth_mm: 13.2, flipper_length_mm: 211, body_mass_g: 4500 }

let example: Awaited<ReturnType<typeof createApp>>
let http: Server
let url: string

beforeAll(async () => {
  example = await createApp()
  http = await new Promise<Server>((resolve) => {
    const listening = example.app.listen(0, '127.0.0.1', () => resolve(listening))
  })
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
})

afterAll(async () => {
  await new Promise((resolve) => http.close(resolve))
  await example.server.close()
})

async function post<Answer>(path: string, contentType: string, body: RequestInit['body']) {
  const response = await fetch(url + path, { method: 'POST', headers: { 'content-type': contentType }, body })
  return { status: response.status, body: (await response.json()) as Answer }
}

describe('POST /speech', () => {
  it('finds the two sentences of the sample', async () => {
    const { status, body } = await post<Speech>('/speech', 'audio/wav', SAMPLE)
    expect(status).toBe(200)
    expect(body).toMatchObject({ durationMs: 4942, frames: 155 })
    expect(body.segments).toHaveLength(2)
    // The file has silence up to 600 ms, from 2409 to 3109 ms and after 4342 ms; a window of the model lasts 32 ms.
    for (const [i, [start, end]] of [[600, 2409] as const, [3109, 4342] as const].entries()) {
      expect(Math.abs(body.segments[i]!.startMs - start)).toBeLessThan(120)
      expect(Math.abs(body.segments[i]!.endMs - end)).toBeLessThan(120)
    }
    expect(body.speechRatio).toBeCloseTo(0.646, 1)
  })

  it('answers recordings that come at the same time as if each came alone', async () => {
    const alone = await post('/speech', 'audio/wav', SAMPLE)
    const together = await Promise.all(Array.from({ length: 4 }, () => post('/speech', 'audio/wav', SAMPLE)))
    for (const answer of together) expect(answer).toEqual(alone)
  })

  it('answers a file without samples', async () => {
    const header = Buffer.from(SAMPLE.subarray(0, 44))
    header.writeUInt32LE(0, 40)
    const { status, body } = await post('/speech', 'audio/wav', header)
    expect({ status, body }).toEqual({ status: 200, body: { durationMs: 0, segments: [], frames: 0, speechRatio: 0 } })
  })

  it.each([
    ['something else', 'audio/wav', 'this is no sound', 'This is not a WAV file: it does not start with RIFF … WAVE.'],
    [
      'a file cut off',
      'audio/wav',
      SAMPLE.subarray(0, 1000),
      'The file is cut off: a chunk of 158134 bytes is announced, 956 follow.',
    ],
    ['an empty body', 'audio/wav', undefined, 'Send a WAV file as the body, with content-type audio/wav.'],
    ['another content type', 'text/plain', SAMPLE, 'Send a WAV file as the body, with content-type audio/wav.'],
  ])('refuses %s with a sentence', async (_, contentType, body, error) => {
    expect(await post('/speech', contentType, body)).toEqual({ status: 400, body: { error } })
  })

  it('refuses a body over the limit', async () => {
    expect((await post('/speech', 'audio/wav', new Uint8Array(20_000_001))).status).toBe(413)
  })
})

describe('POST /score', () => {
  const score = (body: string) => post<Score & { error: string }>('/score', 'application/json', body)

  it('tells a penguin by its measurements', async () => {
    const { status, body } = await score(JSON.stringify(GENTOO))
    expect(status).toBe(200)
    expect(body.label).toBe('Gentoo')
    expect(body.probabilities.Gentoo).toBeGreaterThan(0.99)
    expect(Object.keys(body.probabilities)).toEqual(card.classes)
    expect(Object.values(body.probabilities).reduce((sum, p) => sum + p)).toBeCloseTo(1, 5)
  })

  it('lists everything that is wrong with the features', async () => {
    const { culmen_depth_mm, ...rest } = GENTOO
    const { status, body } = await score(JSON.stringify({ ...rest, body_mass_g: '4500', colour: 1 }))
    expect(status).toBe(400)
    expect(body.error).toBe(
      'culmen_depth_mm must be a number from 6.55 to 43; body_mass_g must be a number from 1350 to 12600; "colour" is not a feature.',
    )
  })

  it.each(['', '[]', '{', 'null', '7', JSON.stringify(GENTOO).replace('4500', '1e300')])('refuses the body %j', async (text) => {
    const { status, body } = await score(text)
    expect(status).toBe(400)
    expect(body.error).toEqual(expect.any(String))
  })

  it('publishes its features and how good it is', async () => {
    const schema = await (await fetch(`${url}/score/schema`)).json()
    expect(schema).toEqual(card)
    expect(card.test.accuracy).toBeGreaterThan(card.test.majorityBaseline + 0.4)
  })
})

describe('the rest', () => {
  it.each(['/', '/style.css', '/speech.js', '/score.js', '/wave.js', '/request.js', '/speech.wav'])('serves %s', async (path) => {
    expect((await fetch(url + path)).status).toBe(200)
  })

  it('asks nothing of other servers', async () => {
    for (const path of ['/', '/style.css', '/speech.js', '/score.js', '/wave.js', '/request.js']) {
      expect(await (await fetch(url + path)).text()).not.toMatch(/https?:\/\//)
    }
  })

  it('speaks the Open Inference Protocol under /ml', async () => {
    const metadata = await (await fetch(`${url}/ml/v2/models/silero-vad`)).json()
    expect(metadata).toMatchObject({
      name: 'silero-vad',
      inputs: [{ name: 'input', datatype: 'FP32' }, { name: 'state' }, { name: 'sr', datatype: 'INT64' }],
    })
    const features = { name: 'features', datatype: 'FP32', shape: [1, 4], data: Object.values(GENTOO) }
    const { status, body } = await post<{ outputs: { data: number[] }[] }>(
      '/ml/v2/models/penguins/infer',
      'application/json',
      JSON.stringify({ inputs: [features] }),
    )
    expect(status).toBe(200)
    expect(body.outputs[0]!.data[2]).toBeGreaterThan(0.99)
  })
})
