/** The kept proof of one model: looked for while it loads, and written once it was made. */

import { serialize } from 'node:v8'
import { cpuFeatures, patchKey } from '../../engine/derived/key.ts'
import { onnxRuntimeVersion } from '../../host/packages.ts'
import { idOfBytes } from '../../integrity/index.ts'
import type { ModelConfig } from '../../options/index.ts'
import { type Evidence, evidenceOf, keptOf } from '../../trial/conclude.ts'
import type { KeptProof } from '../../trial/kept/entry.ts'
import { digestOf, type ProofKey, proverOf } from '../../trial/kept/key.ts'
import type { TrialPlan } from '../../trial/plan.ts'
import { VERSION } from '../../version.ts'
import type { LoadContext } from './context.ts'
import type { Prepared } from './prepare.ts'

export interface Keeper {
  /** Looks for one. Every call waits for the same look, which never rejects. */
  find(): Promise<KeptProof | undefined>
  /** Its evidence about a session with that provider; `undefined` where it does not fit. */
  evidence(plan: TrialPlan | undefined, provider: string): Promise<Evidence | undefined>
  /** Keeps what was found out. A model that could not be tried is tried again. */
  keep(evidence: Evidence, provider: string): Promise<void>
  /** Rows were seen to influence each other while it served. */
  refute(reason: string): Promise<void>
}

export function createKeeper(prepared: Prepared, { deps, known }: LoadContext): Keeper {
  const { proofs, emit } = deps
  const { config } = known()
  const warn = (message: string): void => emit({ type: 'warning', message })
  let looked: Promise<{ readonly key: ProofKey; readonly proof: KeptProof | undefined } | undefined> | undefined
  let latest: KeptProof | undefined

  async function look() {
    const key = config.proofCache && config.batching ? await keyOf(prepared, known().config).catch(() => undefined) : undefined
    if (!key) return undefined
    const proof = await proofs.find(key, warn)
    latest = proof
    return { key, proof }
  }
  const find = () => {
    looked ??= look()
    return looked
  }

  async function write(proof: KeptProof): Promise<void> {
    const found = await find()
    latest = proof
    if (found) await proofs.keep(found.key, proof)
  }

  return {
    find: async () => (await find())?.proof,
    async evidence(plan, provider) {
      const proof = (await find())?.proof
      return proof?.provider === provider ? evidenceOf(proof, plan) : undefined
    },
    async keep(evidence, provider) {
      const proof = keptOf(evidence, { provider, at: Date.now() })
      if (proof) await write(proof)
    },
    async refute(reason) {
      if (latest) await write({ ...latest, found: { ...latest.found, refuted: reason } })
    },
  }
}

/** `undefined` where something of it is not known. */
async function keyOf({ admitted, content, request }: Prepared, config: ModelConfig): Promise<ProofKey | undefined> {
  const { source, data } = admitted
  const runtime = onnxRuntimeVersion()
  const model = (await content.identify()) ?? (typeof source === 'string' || data.size > 0 ? undefined : await idOfBytes(source))
  if (!runtime || model === undefined) return undefined
  const { batching, inputs, outputs, sequences, maxElements, maxBatch, warmup, isolation } = config
  const { patch, settings } = request
  const samples = warmup.length > 0 ? digestOf(serialize(warmup)) : 'none'
  const options = { settings, batching, inputs, outputs, sequences, maxElements, maxBatch, samples, patch: patchKey(patch) }
  return {
    prover: proverOf(VERSION),
    runtime,
    cpu: digestOf(`${process.platform} ${process.arch} ${cpuFeatures()}`),
    model,
    tier: isolation,
    options: digestOf(JSON.stringify(options)),
  }
}
