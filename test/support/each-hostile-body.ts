/** Asks a server in this process with every hostile body, and counts what its thread does between two turns of the event loop. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createModelServer, type HttpHandler, type HttpResponse, type ModelServer } from 'modelmount'
import { expect } from 'vitest'
import { type Datatype, hostileBodies, MODELS, nameOf } from './hostile-bodies.ts'

/** More than may be gone through between two turns. */
export const BYTES = 700_000
/** A slice of text, and a short body. */
const MOST_BYTES = 512 * 1024
/** A slice of numbers that are copied, and their head. */
const MOST_COPIED = 656 * 1024
/** Bodies that may be parsed on the host's thread: short ones, or the text around numbers. */
const MOST_PARSED = 128 * 1024

/** Has the models that the bodies are for. */
export function openHostileServer(): Promise<ModelServer> {
  const models = (Object.keys(MODELS) as Datatype[]).map((datatype) => ({
    name: nameOf(datatype),
    source: MODELS[datatype],
    batching: false as const,
  }))
  return createModelServer({ logger: false, strict: true, models })
}

interface Watched {
  readonly bytes: number
  readonly parsed: number
}

/** The most that was done between two turns of the event loop. */
async function watch(work: () => Promise<unknown>): Promise<Watched> {
  let [bytes, parsed, running] = [0, 0, true]
  const most = { bytes: 0, parsed: 0 }
  const onWork = (message: unknown): void => {
    bytes += (message as { readonly bytes: number }).bytes
  }
  const parse = JSON.parse
  JSON.parse = (...args: Parameters<typeof parse>) => {
    parsed += args[0].length
    return parse(...args)
  }
  const turn = (): void => {
    most.bytes = Math.max(most.bytes, bytes)
    most.parsed = Math.max(most.parsed, parsed)
    bytes = 0
    parsed = 0
    if (running) setImmediate(turn)
  }
  subscribe('modelmount:host-work', onWork)
  setImmediate(turn)
  try {
    await work()
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    running = false
    JSON.parse = parse
    unsubscribe('modelmount:host-work', onWork)
  }
  return most
}

/** @param share one of so many of the bodies */
export async function askEach(mount: HttpHandler, share: number): Promise<void> {
  for (const { what, path, body, headers } of hostileBodies(BYTES, share)) {
    let response: HttpResponse | undefined
    const { bytes, parsed } = await watch(async () => {
      response = await mount.handle({ method: 'POST', path, body, headers: { ...headers }, acceptsChunks: true })
    })
    const { status = 0 } = response ?? {}
    if (status !== 200) {
      const { code } = JSON.parse(Buffer.from(response?.body ?? []).toString()) as { code: string }
      expect([what, status, code]).toEqual([what, expect.any(Number), expect.stringMatching(/INVALID|TOO_LARGE|NOT_FOUND/)])
      expect([what, status < 500]).toEqual([what, true])
    }
    const most = what.startsWith('binary') ? MOST_COPIED : MOST_BYTES
    expect([what, bytes <= most, parsed <= MOST_PARSED]).toEqual([what, true, true])
  }
}
