/** The entry of one model in the folder of derived models: found and checked there, or made, tried and kept. */

import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Builder } from '../../engine/derived/builder.ts'
import { entryName, outerKey } from '../../engine/derived/key.ts'
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
} from '../../engine/derived/store.ts'
import { pack, type TensorRecord, unpack } from '../../engine/frame.ts'
import type { SharedForm } from '../../engine/launch.ts'
import { ModelmountError } from '../../errors.ts'
import type { Patch } from '../../onnx/splice.ts'
import type { ModelConfig } from '../../options/index.ts'
import { sameWithin } from '../../trial/compare.ts'
import { formOf, sizeOf } from './form.ts'
import { objection } from './policy.ts'

/** A derived file holds each weight as it is and packed; and a disk should not be filled to the brim. */
const SPACE_FACTOR = 3

/** Inputs that the model takes. */
export interface Samples {
  readonly samples: readonly TensorRecord[]
  readonly fetches: readonly string[]
}

/** The form to use, or the decision against one. */
export interface Outcome {
  readonly form: SharedForm | undefined
  readonly reason: string
}

export interface Entry {
  /** Whether any form of a model like this one is there, whatever its bytes. */
  isLikely(): Promise<boolean>
  /** @returns `undefined` where there is none, or none that is sound */
  find(builder: Builder): Promise<Outcome | undefined>
  /** @returns `undefined` where it could not be kept */
  make(builder: Builder, samples: Samples): Promise<Outcome | undefined>
  /** Removes what is half done. */
  tidy(): Promise<void>
}

interface Deps {
  /** The folder of derived models. */
  readonly root: string
  readonly files: readonly string[]
  readonly patch: Patch
  readonly weightBytes: number
  /** False when the model's files are no longer the ones that were loaded. */
  isUnchanged(): Promise<boolean>
  /** True when the model goes away: nothing is kept any more. */
  isClosed(): boolean
}

export async function createEntry(config: ModelConfig, deps: Deps): Promise<Entry> {
  const { root, files, patch, weightBytes, isUnchanged, isClosed } = deps
  const outer = outerKey(config.session, await Promise.all(files.map((file) => sizeOf([file]))))
  let digests: readonly string[] | undefined

  const nameOf = (of: readonly string[]): string => entryName(outer, of, patch)

  async function digestSource(builder: Builder): Promise<string> {
    if (digests) return nameOf(digests)
    const found = await builder.digest(files)
    if (found.includes('')) throw new ModelmountError('MODEL_LOAD_FAILED', 'a file of the model cannot be read')
    if (!(await isUnchanged())) throw new ModelmountError('MODEL_LOAD_FAILED', 'the model changed while it was read')
    digests = found
    return nameOf(found)
  }

  async function open(builder: Builder, name: string): Promise<Outcome | undefined> {
    const isThere = (await entriesLike(root, name)).length > 0
    const manifest = await readManifest(root, name)
    if (!manifest) {
      // An entry comes into being with its manifest, so this one is damaged. One that came just now is not.
      if (isThere) await discard(root, name)
      return undefined
    }
    const against = objection(config, manifest.verdict)
    if (against) return { form: undefined, reason: against }
    const form = await formOf(join(root, name))
    const names = Object.keys(manifest.files)
    const found = form ? await builder.digest(names.map((file) => join(root, name, file))) : []
    if (!form || names.length < 2 || names.some((file, i) => manifest.files[file] !== found[i])) {
      await discard(root, name)
      return undefined
    }
    await touch(root, name)
    return { form, reason: `mapped from the cache, at ${manifest.verdict.speed.toFixed(2)} of a plain instance's speed` }
  }

  async function make(builder: Builder, samples: Samples): Promise<Outcome | undefined> {
    const name = await digestSource(builder)
    // Another process may have been faster.
    const found = await open(builder, name)
    if (found) return found
    if (samples.samples.length === 0) {
      const reason = 'there are no inputs that the model takes, so sharing could not be tried; give it a warmup sample'
      return { form: undefined, reason }
    }
    const space = await statfs(root)
    if (space.bavail * space.bsize < SPACE_FACTOR * weightBytes)
      throw new ModelmountError('MODEL_LOAD_FAILED', `the disk of ${JSON.stringify(root)} has too little space`)
    const draft = await openDraft(root)
    try {
      return await fill({ draft, name, builder, samples })
    } finally {
      await drop(draft)
    }
  }

  async function derive(draft: string, builder: Builder, { samples, fetches }: Samples): Promise<Verdict> {
    const { frame, transfer } = pack(samples)
    const [source = ''] = files
    const request = { source, patch, session: config.session, into: draft, samples: frame, fetches }
    const { speed, outputs } = await builder.derive(request, transfer)
    const maps = unpack(outputs, { share: false })
    const half = samples.length
    const same = samples.every((_, i) =>
      fetches.every((name) => {
        const [a, b] = [maps[i]?.[name], maps[half + i]?.[name]]
        return a !== undefined && b !== undefined && sameWithin(a, b)
      }),
    )
    return { same, speed }
  }

  async function fill({ draft, name, builder, samples }: Filling): Promise<Outcome | undefined> {
    const verdict = await derive(draft, builder, samples)
    const against = objection(config, verdict)
    const names = [MODEL_FILE, DATA_FILE]
    const made = against ? [] : await builder.digest(names.map((file) => join(draft, file)))
    if (made.includes('')) throw new ModelmountError('MODEL_LOAD_FAILED', 'the derived files cannot be read')
    if (!(await isUnchanged())) throw new ModelmountError('MODEL_LOAD_FAILED', 'the model changed while it was derived')
    const manifest: Manifest = {
      format: 1,
      files: Object.fromEntries(made.map((digest, i) => [names[i], digest])),
      bytes: against ? 0 : await sizeOf(names.map((file) => join(draft, file))),
      verdict,
    }
    // The verdict is kept, so that the next start does not try again.
    if (against) for (const file of names) await drop(join(draft, file))
    if (isClosed()) return undefined
    const isOurs = await publish(root, name, draft, manifest)
    if (against) return { form: undefined, reason: against }
    if (!isOurs) return open(builder, name)
    const form = await formOf(join(root, name))
    if (!form) throw new ModelmountError('MODEL_LOAD_FAILED', 'the derived files have gone')
    return { form, reason: `made anew, at ${verdict.speed.toFixed(2)} of a plain instance's speed` }
  }

  return {
    isLikely: async () => (await entriesLike(root, `${outer}-`)).length > 0,
    find: async (builder) => open(builder, await digestSource(builder)),
    make,
    tidy: () => tidy(root, digests ? nameOf(digests) : ''),
  }
}

interface Filling {
  /** A folder for the files of the form. */
  readonly draft: string
  /** Of the entry. */
  readonly name: string
  readonly builder: Builder
  readonly samples: Samples
}
