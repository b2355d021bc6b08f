import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resample } from '../../examples/express/resample.ts'
import { toSegments } from '../../examples/express/vad.ts'
import { openWav, WavError } from '../../examples/express/wav.ts'

const LIMIT = { maxDurationMs: 60_000 }
const open = (bytes: Uint8Array) => openWav(bytes, LIMIT)
const GUID = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]

function chunk(id: string, data: Uint8Array, size = data.length): Buffer {
  const head = Buffer.alloc(8)
  head.write(id, 'latin1')
  head.writeUInt32LE(size, 4)
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)])
}

function riff(...chunks: Buffer[]): Buffer {
  return Buffer.concat([chunk('RIFF', Buffer.concat([Buffer.from('WAVE'), ...chunks]))])
}

function format(opts: {
  tag?: number
  channels?: number
  rate?: number
  bits?: number
  frameBytes?: number
  guid?: readonly number[]
}) {
  const { tag = 1, channels = 1, rate = 16_000, bits = 16, guid } = opts
  const fmt = Buffer.alloc(guid ? 40 : 16)
  const frameBytes = opts.frameBytes ?? (channels * bits) / 8
  fmt.writeUInt16LE(guid ? 0xfffe : tag, 0)
  fmt.writeUInt16LE(channels, 2)
  fmt.writeUInt32LE(rate, 4)
  fmt.writeUInt32LE(rate * frameBytes, 8)
  fmt.writeUInt16LE(frameBytes, 12)
  fmt.writeUInt16LE(bits, 14)
  if (guid) {
    fmt.writeUInt16LE(tag, 24)
    fmt.set(guid, 26)
  }
  return chunk('fmt ', fmt)
}

const int16 = (...values: number[]) => new Uint8Array(Int16Array.from(values).buffer)
const read = (bytes: Uint8Array) => Array.from(open(bytes).read(0, open(bytes).frames))

describe('openWav', () => {
  it.each([
    ['8-bit', { bits: 8 }, Uint8Array.of(128, 192, 0), [0, 0.5, -1]],
    ['16-bit', { bits: 16 }, int16(0, 16384, -32768), [0, 0.5, -1]],
    ['24-bit', { bits: 24 }, Uint8Array.of(0, 0, 0, 0, 0, 0x40, 0, 0, 0x80), [0, 0.5, -1]],
    ['32-bit', { bits: 32 }, new Uint8Array(Int32Array.of(0, 2 ** 30, -(2 ** 31)).buffer), [0, 0.5, -1]],
    ['float', { bits: 32, tag: 3 }, new Uint8Array(Float32Array.of(0, 0.5, -7).buffer), [0, 0.5, -1]],
    ['extensible', { bits: 16, guid: GUID }, int16(0, 16384, -32768), [0, 0.5, -1]],
    ['stereo, mixed down', { channels: 2 }, int16(16384, 0, -16384, -16384), [0.25, -0.5]],
  ])('reads %s', (_, fmt, data, expected) => {
    expect(read(riff(format(fmt), chunk('data', data)))).toEqual(expected)
  })

  it('skips chunks it does not know, padding included', () => {
    expect(
      read(riff(chunk('LIST', Uint8Array.of(1, 2, 3)), format({}), chunk('fact', int16(1)), chunk('data', int16(16384)))),
    ).toEqual([0.5])
  })

  it('takes a data chunk without a size to the end of the file, as pipes write it', () => {
    expect(read(riff(format({}), chunk('data', int16(16384, 0), 0xffffffff)))).toEqual([0.5, 0])
  })

  it('accepts a file without samples', () => {
    expect(open(riff(format({}), chunk('data', int16())))).toMatchObject({ frames: 0, durationMs: 0 })
  })

  it('reads silence outside of the file', () => {
    expect(Array.from(open(riff(format({}), chunk('data', int16(16384)))).read(-1, 3))).toEqual([0, 0.5, 0])
  })

  it('reads from a view into a larger buffer', () => {
    const file = riff(format({}), chunk('data', int16(16384)))
    expect(read(Buffer.concat([Buffer.alloc(3), file]).subarray(3))).toEqual([0.5])
  })

  const data = chunk('data', int16(0))
  it.each([
    ['nothing', Buffer.alloc(0), 'not a WAV file'],
    ['an MP3', Buffer.from('ID3\u0004 and more bytes that are music'), 'not a WAV file'],
    ['no data chunk', riff(format({})), 'no data chunk'],
    ['data before fmt', riff(data, format({})), 'before the fmt chunk'],
    ['a short fmt chunk', riff(chunk('fmt ', int16(1, 1)), data), 'fmt chunk has 4 bytes'],
    ['a file cut off', riff(format({}), chunk('data', int16(0), 999)), 'cut off'],
    ['half a sample', riff(format({}), chunk('data', Uint8Array.of(1))), 'not a multiple of 2'],
    ['µ-law', riff(format({ tag: 7, bits: 8 }), data), 'Format 7 with 8 bits is not supported'],
    ['no channels', riff(format({ channels: 0 }), data), '0 channels'],
    ['too many channels', riff(format({ channels: 9 }), data), '9 channels'],
    ['an impossible rate', riff(format({ rate: 0 }), data), '0 Hz'],
    ['a wrong frame size', riff(format({ frameBytes: 4 }), data), 'contradicts itself'],
    ['another sub-format', riff(format({ guid: GUID.map(() => 1) }), data), 'unknown'],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => open(bytes)).toThrow(WavError)
    expect(() => open(bytes)).toThrow(message)
  })

  it('refuses a recording that is too long before it reads a sample', () => {
    const file = riff(format({ rate: 1000, bits: 8 }), chunk('data', new Uint8Array(61_000)))
    expect(() => open(file)).toThrow('lasts 61.0 s; at most 60 s')
  })

  it('refuses a sample that is not a number when it gets there', () => {
    const wav = open(riff(format({ bits: 32, tag: 3 }), chunk('data', new Uint8Array(Float32Array.of(0, Number.NaN).buffer))))
    expect(() => wav.read(0, 2)).toThrow('Sample 1 is not a finite number')
  })

  it('throws nothing but WavError, whatever the bytes are', () => {
    const file = readFileSync(new URL('../../examples/express/speech.wav', import.meta.url)).subarray(0, 200)
    const damaged = fc
      .array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 8 })
      .chain((edits) => fc.nat(file.length).map((length) => ({ edits, length })))
      .map(({ edits, length }) => {
        const bytes = Uint8Array.from(file)
        for (const [at, byte] of edits) bytes[at] = byte
        return bytes.subarray(0, length)
      })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), damaged), (bytes) => {
        try {
          const wav = open(bytes)
          wav.read(-5, Math.min(wav.frames, 1000) + 10)
        } catch (error) {
          expect(error).toBeInstanceOf(WavError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('resample', () => {
  const RATE = 48_000
  const sine = (hz: number) =>
    open(riff(format({ rate: RATE }), chunk('data', int16(...tone(hz, RATE, RATE).map((v) => v * 32767)))))
  const tone = (hz: number, rate: number, count: number) =>
    Array.from({ length: count }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rate))
  const level = (samples: Float32Array) => Math.sqrt(samples.reduce((sum, v) => sum + v * v, 0) / samples.length)

  it('keeps a tone of the speech band', () => {
    const out = resample(sine(1000), 16_000)
    expect(out.frames).toBe(16_000)
    const expected = tone(1000, 16_000, 16_000)
    const samples = out.read(0, 16_000)
    for (let i = 200; i < 15_800; i++) expect(Math.abs(samples[i]! - expected[i]!)).toBeLessThan(0.002)
  })

  it('removes what would fold back into the speech band', () => {
    expect(level(resample(sine(11_000), 16_000).read(200, 15_600))).toBeLessThan(0.001)
  })

  it('answers the same samples in one piece and window by window', () => {
    const out = resample(sine(440), 16_000)
    const whole = out.read(0, 1024)
    expect([...out.read(0, 512), ...out.read(512, 512)].every((v, i) => Math.abs(v - whole[i]!) < 1e-6)).toBe(true)
  })

  it('goes up as well as down', () => {
    const wav = open(riff(format({ rate: 8000 }), chunk('data', int16(...tone(500, 8000, 8000).map((v) => v * 32767)))))
    const samples = resample(wav, 16_000).read(4000, 100)
    const expected = tone(500, 16_000, 4100).slice(4000)
    samples.forEach((v, i) => {
      expect(Math.abs(v - expected[i]!)).toBeLessThan(0.002)
    })
  })
})

describe('toSegments', () => {
  /** `'1*20 0*10'`: 20 windows of probability 1, then 10 of 0. */
  const windows = (text: string) =>
    text.split(' ').flatMap((part) => {
      const [value, count] = part.split('*').map(Number)
      return Array.from({ length: count ?? 1 }, () => value ?? 0)
    })
  const segments = (text: string) => toSegments(windows(text), windows(text).length * 32)

  it.each([
    ['nothing', '0*50', []],
    ['one segment, padded', '0*10 1*20 0*10', [{ startMs: 290, endMs: 990 }]],
    ['speech to the end, not padded beyond it', '0*10 1*20', [{ startMs: 290, endMs: 960 }]],
    ['speech from the start', '1*20 0*10', [{ startMs: 0, endMs: 670 }]],
    ['a click of less than 250 ms as nothing', '0*10 1*7 0*10', []],
    ['a pause of less than 100 ms as speech', '1*10 0*3 1*10 0*10', [{ startMs: 0, endMs: 766 }]],
    ['doubt between the thresholds as more of the same', '0*10 0.4*10 1*10 0.4*10 0*10', [{ startMs: 610, endMs: 1310 }]],
    [
      'two segments',
      '1*10 0*5 1*10',
      [
        { startMs: 0, endMs: 350 },
        { startMs: 450, endMs: 800 },
      ],
    ],
  ])('finds %s', (_, text, expected) => {
    expect(segments(text)).toEqual(expected)
  })

  it('lets the padding of close neighbours meet in the middle', () => {
    expect(toSegments(windows('1*10 0*2 1*10'), 704, { minSilenceMs: 10, paddingMs: 100 })).toEqual([
      { startMs: 0, endMs: 352 },
      { startMs: 352, endMs: 704 },
    ])
  })
})
