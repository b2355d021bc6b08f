/** A case of the contract, and its tools. */

import type { ModelServer, ModelServerOptions, ModelSpec, PredictInputs, PredictOptions, PredictResult, Tensor } from 'modelmount'
import { posted, provedServerFor } from '../../support/server.ts'
import type { Held, Tier } from './tiers.ts'

export interface Scene {
  readonly tier: Tier
  /** A server that many cases share; its models are in `models.ts`. */
  readonly server: ModelServer
  /** A server of this case alone. */
  serve(models: readonly ModelSpec[], options?: Omit<ModelServerOptions, 'models'>): Promise<ModelServer>
  /** Workers that this case has started; those of the shared server where it has started none. */
  workers(): readonly unknown[]
  /** Stops them. They must be idle. */
  hold(): Held
}

export interface Case {
  readonly name: string
  run(scene: Scene): Promise<void>
}

export function sceneFor(tier: Tier, server: ModelServer): Scene {
  const others = tier.workers()
  let isOwn = false
  const workers = (): readonly unknown[] => (isOwn ? tier.workers().filter((worker) => !others.includes(worker)) : others)
  return {
    tier,
    server,
    serve(models, options) {
      isOwn = true
      return provedServerFor({ strict: true, ...tier.settings, ...options, models })
    },
    workers,
    hold: () => tier.hold(workers()),
  }
}

/** One row of four floats. */
export const four = (value: number): Float32Array => new Float32Array(4).fill(value)

/** The elements of an output of floats. */
export const floatsOf = (result: PredictResult | undefined, output: string): Float32Array =>
  result?.outputs[output]?.data as Float32Array

/** NaN payloads and -0 count, so numbers are compared by their bytes. */
export function contents(tensor: Tensor | undefined): unknown {
  if (!tensor) return undefined
  const { type, dims, data } = tensor
  if (type === 'string') return { type, dims, data: [...data] }
  const { buffer, byteOffset, byteLength } = data
  return { type, dims, array: data.constructor.name, bytes: Buffer.from(buffer, byteOffset, byteLength).toString('hex') }
}

/** Sends requests to a held worker until the next one has to wait. @returns those requests, which the worker has or gets first */
export async function fill(
  server: ModelServer,
  model: string,
  inputs: PredictInputs,
  opts?: PredictOptions,
): Promise<Promise<PredictResult>[]> {
  const sent: Promise<PredictResult>[] = []
  do {
    const request = server.predict(model, inputs, opts)
    // Its outcome is awaited later.
    request.catch(() => {})
    sent.push(request)
    await posted()
  } while (server.model(model).queue.waiting === 0)
  return sent
}
