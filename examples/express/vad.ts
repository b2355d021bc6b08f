/**
 * Finds the speech in a recording. Silero VAD answers a probability for each window of 32 ms; this turns them into segments the way
 * Silero's own `get_speech_timestamps` does. https://github.com/snakers4/silero-vad
 */

import type { ModelServer } from 'modelmount'
import { resample } from './resample.ts'
import type { Wav } from './wav.ts'

export const MODEL = 'silero-vad'
/** Which dimension of the model's tensors counts rows, where it is not the first. */
export const AXES = { state: 1, stateN: 1, sr: 'shared' } as const
const SAMPLE_RATE = 16_000
const WINDOW = 512
/** The model also wants the end of the window before. */
const CONTEXT = 64
const WINDOW_MS = (WINDOW / SAMPLE_RATE) * 1000

export interface Segment {
  readonly startMs: number
  readonly endMs: number
}

export interface Speech {
  readonly durationMs: number
  readonly segments: readonly Segment[]
  /** Windows that the model saw. */
  readonly frames: number
  /** Part of the recording that is speech, 0 to 1. */
  readonly speechRatio: number
}

export async function detectSpeech(server: Pick<ModelServer, 'predict'>, wav: Wav, signal?: AbortSignal): Promise<Speech> {
  const probabilities = await speechProbabilities(server, wav, signal)
  const segments = toSegments(probabilities, wav.durationMs)
  const speechMs = segments.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0)
  return {
    durationMs: Math.round(wav.durationMs),
    segments,
    frames: probabilities.length,
    speechRatio: wav.frames === 0 ? 0 : Math.round((1000 * speechMs) / wav.durationMs) / 1000,
  }
}

/** One probability per window. Windows go in one after the other, because each needs the state that the one before left behind. */
async function speechProbabilities(server: Pick<ModelServer, 'predict'>, wav: Wav, signal?: AbortSignal): Promise<number[]> {
  const audio = resample(wav, SAMPLE_RATE)
  const probabilities: number[] = []
  let state: Float32Array = new Float32Array(2 * 128)
  for (let start = 0; start < audio.frames; start += WINDOW) {
    // Only `input` has more than one free dimension; the shapes of the others follow from the model's signature.
    const input = { type: 'float32', dims: [1, CONTEXT + WINDOW], data: audio.read(start - CONTEXT, CONTEXT + WINDOW) } as const
    const { outputs } = await server.predict(MODEL, { input, state, sr: SAMPLE_RATE }, { signal })
    probabilities.push(Number(outputs.output?.data[0]))
    state = outputs.stateN?.data as Float32Array
  }
  return probabilities
}

/** Starting takes more confidence than going on, so that a segment does not flicker; `negativeThreshold` is where it may end. */
const defaults = { threshold: 0.5, negativeThreshold: 0.35, minSpeechMs: 250, minSilenceMs: 100, paddingMs: 30 }

export function toSegments(probabilities: readonly number[], durationMs: number, opts: Partial<typeof defaults> = {}): Segment[] {
  const { threshold, negativeThreshold, minSpeechMs, minSilenceMs, paddingMs } = { ...defaults, ...opts }
  const found: Segment[] = []
  let start: number | undefined
  let silence: number | undefined
  const finish = (endMs: number) => {
    if (start !== undefined && endMs - start > minSpeechMs) found.push({ startMs: start, endMs })
    start = undefined
    silence = undefined
  }
  for (const [index, probability] of probabilities.entries()) {
    const now = index * WINDOW_MS
    if (probability >= threshold) {
      start ??= now
      silence = undefined
    } else if (start !== undefined && probability < negativeThreshold) {
      silence ??= now
      if (now - silence >= minSilenceMs) finish(silence)
    }
  }
  finish(durationMs)
  return pad(found, paddingMs, durationMs)
}

/** Widens each segment on both sides; neighbours meet in the middle of a gap that is too small for both. */
function pad(segments: readonly Segment[], paddingMs: number, durationMs: number): Segment[] {
  return segments.map(({ startMs, endMs }, i) => {
    const before = i === 0 ? startMs : (startMs - (segments[i - 1]?.endMs ?? 0)) / 2
    const after = i === segments.length - 1 ? durationMs - endMs : ((segments[i + 1]?.startMs ?? endMs) - endMs) / 2
    return { startMs: Math.round(startMs - Math.min(paddingMs, before)), endMs: Math.round(endMs + Math.min(paddingMs, after)) }
  })
}
