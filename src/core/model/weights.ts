/**
 * Weights once: the instances of a model, here and in other processes, map one file of ready-packed weights instead of each holding its own
 * copy. That file is derived from the model, kept in a cache folder, and used only where it was seen to give the same answers as fast.
 * Whatever goes wrong here costs memory, never a load.
 */

import { stat, statfs } from 'node:fs/promises'
import { isAbsolute, join, normalize } from 'node:path'
import { type Builder, openBuilder } from '../engine/derived/builder.ts'
import { openDirectory } from '../engine/derived/directory.ts'
import { entryName, outerKey } from '../engine/derived/key.ts'
import {
  DATA_FILE,
  discard,
  drop,
  entriesLike,
  type Manifest,
  MODEL_FILE,
  openDraft,
  publish,
  readManifest,
  tidy,
  touch,
  type Verdict,
} from '../engine/derived/store.ts'
import { pack, type TensorRecord, unpack } from '../engine/frame.ts'
import type { SharedForm } from '../engine/launch.ts'
import { openProcess } from '../engine/process.ts'
import type { WeightsInfo } from '../engine/types.ts'
import { ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import type { Patch } from '../onnx/splice.ts'
import type { OnnxModelFacts } from '../onnx/types.ts'
import type { ModelConfig } from '../options/index.ts'
import { sameWithin } from '../trial/compare.ts'
import { filesOf } from './load/files.ts'

/** From here on sharing is worth a file, by itself. */
const MIN_BYTES = 16 * 2 ** 20
/** Below that nothing is written into a file of its own. */
const MIN_SHARED_BYTES = 1024
/** Speed, against a plain instance, from which sharing costs nothing. */
const MIN_SPEED = 0.95
/** A derived file holds each weight as it is and packed; and a disk should not be filled to the brim. */
const SPACE_FACTOR = 3

export interface WeightsEvent {
  readonly type: 'weights'
  readonly form: 'plain' | 'shared'
  readonly reason: string
  /** True when something went wrong, rather than having been decided. */
  readonly failed: boolean
}

/** The weights of one model. */
export interface Weights {
  readonly info: WeightsInfo
  /** True when `make()` is worth calling. */
  readonly pending: boolean
  /** The form that an earlier start has made, checked against its hash. Never rejects. */
  find(): Promise<SharedForm | undefined>
  /** Makes it and tries it with inputs that the model takes, each of which is timed. Never rejects. */
  make(samples: readonly TensorRecord[], fetches: readonly string[]): Promise<SharedForm | undefined>
  /** An instance could not load it. */
  lost(reason: string): void
  /** Ends what is under way and removes what is half done. */
  close(): Promise<void>
}

interface Deps {
  readonly clock: Clock
  /** Of the model's edits. */
  readonly patch: Patch
  readonly cacheDirectory: string | undefined
  readonly weightBytes: number
  /** False when the model's files are no longer the ones that were loaded. */
  isUnchanged(): Promise<boolean>
  emit(event: WeightsEvent): void
}

interface Trial {
  readonly samples: readonly TensorRecord[]
  readonly fetches: readonly string[]
}

/** Builds follow each other: two at once would need the memory of both. */
let builds: Promise<unknown> = Promise.resolve()

export function createWeights(config: ModelConfig, facts: OnnxModelFacts | undefined, deps: Deps): Weights {
  const { clock, emit } = deps
  const files = filesOf(config.source, facts).filter((file) => typeof file === 'string')
  let info: WeightsInfo = { form: 'plain', reason: 'not tried yet' }
  let pending = false
  let closed = false
  let root = ''
  let outer = ''
  let sourceDigests: readonly string[] | undefined
  let builder: Builder | undefined
  let working: Promise<unknown> = Promise.resolve()
  let stop = (): void => {}
  const stopped = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined)
  })

  function decide(form: WeightsInfo['form'], reason: string, failed = false): undefined {
    pending = false
    info = { form, reason }
    if (!closed) emit({ type: 'weights', form, reason, failed })
  }

  const startBuilder = (): Builder => {
    const cap = config.maxMemoryBytes
    // It holds the model up to three times: as it is written, plain, and derived.
    builder = openBuilder(openProcess({ maxMemoryBytes: cap && 3 * cap }), clock, { timeoutMs: 2 * config.loadTimeoutMs })
    return builder
  }

  /** Runs a step with a builder. What fails there is told and otherwise forgotten. */
  function attempt<T>(step: (builder: Builder) => Promise<T | undefined>): Promise<T | undefined> {
    const run = async (): Promise<T | undefined> => {
      if (closed) return undefined
      try {
        return await step(startBuilder())
      } catch (error) {
        return decide('plain', `sharing failed: ${error instanceof Error ? error.message : String(error)}`, true)
      } finally {
        await builder?.end()
        builder = undefined
        if (root) await tidy(root, entry())
      }
    }
    const done = run()
    working = done
    return done
  }

  const entry = (): string => (sourceDigests ? entryName(outer, sourceDigests, deps.patch) : '')

  async function digestSource(builder: Builder): Promise<void> {
    const digests = await builder.digest(files)
    if (digests.includes('')) throw new ModelmountError('MODEL_LOAD_FAILED', 'a file of the model cannot be read')
    if (!(await deps.isUnchanged())) throw new ModelmountError('MODEL_LOAD_FAILED', 'the model changed while it was read')
    sourceDigests = digests
  }

  /** The entry if it is there and sound. Leaves `pending` when it has to be made. */
  async function open(builder: Builder): Promise<SharedForm | undefined> {
    const name = entry()
    const isThere = (await entriesLike(root, name)).length > 0
    const manifest = await readManifest(root, name)
    if (!manifest) {
      // An entry comes into being with its manifest, so this one is damaged. One that came just now is not.
      if (isThere) await discard(root, name)
      return undefined
    }
    const against = objection(config, manifest.verdict)
    if (against) return decide('plain', against)
    const form = await formOf(join(root, name))
    const names = Object.keys(manifest.files)
    const digests = form ? await builder.digest(names.map((file) => join(root, name, file))) : []
    if (!form || names.length < 2 || names.some((file, i) => manifest.files[file] !== digests[i])) {
      await discard(root, name)
      return undefined
    }
    await touch(root, name)
    decide('shared', `mapped from the cache, at ${manifest.verdict.speed.toFixed(2)} of a plain instance's speed`)
    return form
  }

  async function build(builder: Builder, trial: Trial): Promise<SharedForm | undefined> {
    if (!sourceDigests) await digestSource(builder)
    // Another process may have been faster.
    const found = await open(builder)
    if (found || !pending) return found
    if (trial.samples.length === 0)
      return decide('plain', 'there are no inputs that the model takes, so sharing could not be tried; give it a warmup sample')
    const space = await statfs(root)
    if (space.bavail * space.bsize < SPACE_FACTOR * deps.weightBytes)
      throw new ModelmountError('MODEL_LOAD_FAILED', `the disk of ${JSON.stringify(root)} has too little space`)
    const draft = await openDraft(root)
    try {
      return await fill(draft, builder, trial)
    } finally {
      await drop(draft)
    }
  }

  async function fill(draft: string, builder: Builder, trial: Trial): Promise<SharedForm | undefined> {
    const { frame, transfer } = pack(trial.samples)
    const [source = ''] = files
    const request = { source, patch: deps.patch, session: config.session, into: draft, samples: frame, fetches: trial.fetches }
    const { speed, outputs } = await builder.derive(request, transfer)
    const maps = unpack(outputs, { share: false })
    const half = trial.samples.length
    const same = trial.samples.every((_, i) =>
      trial.fetches.every((name) => {
        const [a, b] = [maps[i]?.[name], maps[half + i]?.[name]]
        return a !== undefined && b !== undefined && sameWithin(a, b)
      }),
    )
    const verdict: Verdict = { same, speed }
    const against = objection(config, verdict)
    const names = [MODEL_FILE, DATA_FILE]
    const digests = against ? [] : await builder.digest(names.map((name) => join(draft, name)))
    if (digests.includes('')) throw new ModelmountError('MODEL_LOAD_FAILED', 'what was written cannot be read')
    if (!(await deps.isUnchanged())) throw new ModelmountError('MODEL_LOAD_FAILED', 'the model changed while it was derived')
    const manifest: Manifest = {
      format: 1,
      files: Object.fromEntries(digests.map((digest, i) => [names[i], digest])),
      bytes: against ? 0 : await sizeOf(names.map((name) => join(draft, name))),
      verdict,
    }
    // The verdict is kept, so that the next start does not try again.
    if (against) for (const name of names) await drop(join(draft, name))
    if (closed) return undefined
    const isOurs = await publish(root, entry(), draft, manifest)
    if (against) return decide('plain', against)
    if (!isOurs) return open(builder)
    const form = await formOf(join(root, entry()))
    if (!form) throw new ModelmountError('MODEL_LOAD_FAILED', 'what was written has gone')
    decide('shared', `made anew, at ${verdict.speed.toFixed(2)} of a plain instance's speed`)
    return form
  }

  async function find(): Promise<SharedForm | undefined> {
    const ineligible = reasonAgainst(config, facts, deps.weightBytes)
    if (ineligible) {
      info = { form: 'plain', reason: ineligible }
      return undefined
    }
    const directory = await openDirectory(deps.cacheDirectory)
    if ('refused' in directory) return decide('plain', directory.refused, true)
    root = directory.path
    outer = outerKey(config.session, await Promise.all(files.map((file) => sizeOf([file]))))
    pending = true
    info = { form: 'plain', reason: 'being prepared' }
    if ((await entriesLike(root, `${outer}-`)).length === 0) return undefined
    return attempt(async (builder) => {
      await digestSource(builder)
      return open(builder)
    })
  }

  return {
    get info() {
      return info
    },
    get pending() {
      return pending && !closed
    },
    find,
    make(samples, fetches) {
      const turn = builds.then(() =>
        attempt(async (builder) => {
          const form = await build(builder, { samples, fetches })
          return form ?? (pending ? decide('plain', 'the shared weights could not be stored', true) : undefined)
        }),
      )
      builds = turn
      // Closing does not wait for the builds of others.
      return Promise.race([turn, stopped])
    },
    lost: (reason) => decide('plain', `an instance could not load the shared weights: ${reason}`, true),
    async close() {
      closed = true
      stop()
      await builder?.end()
      await working
    },
  }
}

/** Why a model is not even tried. */
function reasonAgainst(config: ModelConfig, facts: OnnxModelFacts | undefined, weightBytes: number): string | undefined {
  const { shareWeights, providers, instances } = config
  if (shareWeights === false) return 'switched off with shareWeights: false'
  if (typeof config.source !== 'string') return 'the model was given as bytes, and only files can be mapped'
  if (!facts) return 'files in the .ort format are used as they are'
  if (providers.some(({ name }) => name !== 'cpu')) return 'only the cpu execution provider maps its weights'
  if (facts.externalData.some(leavesFolder)) return "the model's weights lie outside its folder"
  if (weightBytes < MIN_SHARED_BYTES) return 'it has no weights to share'
  if (shareWeights === true) return undefined
  if (instances.max < 2) return 'a single instance has nobody to share with'
  return weightBytes < MIN_BYTES ? `its weights take ${weightBytes} bytes, and sharing starts at ${MIN_BYTES}` : undefined
}

/** ONNX Runtime refuses such a model; nothing should be read for it before that. */
const leavesFolder = (location: string): boolean => isAbsolute(location) || /^\.\.($|[\\/])/.test(normalize(location))

async function sizeOf(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function objection({ shareWeights }: ModelConfig, { same, speed }: Verdict): string | undefined {
  if (!same) return 'with shared weights the model gives other answers'
  if (shareWeights !== true && speed < MIN_SPEED)
    return `with shared weights a run has ${speed.toFixed(2)} of a plain instance's speed; shareWeights: true takes that for the memory`
  return undefined
}

/** A derived model as the engine loads it: only as long as its files are the ones that were checked. */
async function formOf(folder: string): Promise<SharedForm | undefined> {
  const files = [MODEL_FILE, DATA_FILE].map((name) => join(folder, name))
  const identify = async (): Promise<string> => {
    const found = await Promise.all(files.map((file) => stat(file)))
    return found.map(({ dev, ino, size, mtimeMs }) => `${dev}:${ino}:${size}:${mtimeMs}`).join(' ')
  }
  const known = await identify().catch(() => undefined)
  if (known === undefined) return undefined
  return {
    source: join(folder, MODEL_FILE),
    isIntact: () =>
      identify().then(
        (now) => now === known,
        () => false,
      ),
  }
}
