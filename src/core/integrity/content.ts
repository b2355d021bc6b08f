/**
 * Identifies the bytes of a version. They are hashed beside its first load; a later worker gets the same bytes or is not started.
 * The file system's facts are compared first, and the content only if they have changed.
 */

import { realpath, stat } from 'node:fs/promises'
import { isModelmountError, ModelmountError } from '../errors.ts'
import { identityOf } from './hash.ts'
import { hashFiles } from './hash-thread.ts'
import { manifestIdOf } from './manifest.ts'

/** A file system may record the same time twice: a file changed this recently may change again without showing it. */
const RACY_MS = 2000
/** From this size on, a hashing thread is worth its start; less takes about as long here as the thread takes to start. */
const THREAD_BYTES = 1024 * 1024

/** Says, once a worker has loaded, whether those were the bytes. @throws ModelmountError `MODEL_LOAD_FAILED` with the reason */
export type Confirm = () => Promise<void>

export interface Content {
  /** A name for exactly these bytes, in the form of `manifestId`; known once the first load was confirmed. */
  readonly id: string | undefined
  /** The same, as soon as all of them are hashed; whether a worker has loaded these bytes is another question. @throws where they cannot be read */
  identify(): Promise<string | undefined>
  /** Records the files beside the model's own, and begins to hash all of them. */
  begin(dataFiles: ReadonlyMap<string, string>): Promise<void>
  /** Call it before a worker loads. @throws ModelmountError `MODEL_LOAD_FAILED` with the reason why none may start */
  open(): Promise<Confirm>
  /** True while the files are the ones that were loaded, or are being loaded. */
  isUnchanged(): Promise<boolean>
}

/** The file system's facts about all files of a model. */
interface Look {
  /** Equal as long as none of them was written to or replaced. */
  readonly key: string
  readonly sizes: readonly (number | undefined)[]
  readonly changedAtMs: number
}

interface Digests {
  readonly key: string
  readonly sha256: readonly string[]
}

interface Deps {
  /** Milliseconds since 1970. */
  wallNow(): number
}

/** For a model whose bytes cannot change: in memory, or in the private store. */
export const fixedContent = (id: string | undefined): Content => ({
  id,
  identify: async () => id,
  async begin() {},
  open: async () => async () => {},
  isUnchanged: async () => true,
})

/** The name of a model in memory without external data; hashed beside the event loop. */
export async function idOfBytes(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)
  return manifestIdOf([{ name: '.', sha256: Buffer.from(digest).toString('hex'), size: bytes.length }])
}

/** Records the state of the model's file before anything reads it. @param source its path */
export async function openContent(source: string, { wallNow }: Deps): Promise<Content> {
  /** Keyed by the model's names for them; its own is `.`. */
  const files = new Map([['.', source]])
  /** Their state when the first load began. */
  let first = await lookAt(files)
  let hashing: Promise<Digests> | undefined
  let digests: readonly string[] | undefined
  /** Looks up whose content is known. */
  let good: string | undefined
  let bad: { readonly key: string; readonly reason: ModelmountError } | undefined
  let inFlight: { readonly key: string; readonly done: Promise<Digests> } | undefined

  const isRacy = ({ changedAtMs }: Look): boolean => wallNow() - changedAtMs < RACY_MS

  /** Several workers that start at once cause one check. */
  function digestAt({ key }: Look): Promise<Digests> {
    if (inFlight?.key === key) return inFlight.done
    const done = digestOf(files).finally(() => {
      if (inFlight?.done === done) inFlight = undefined
    })
    inFlight = { key, done }
    return done
  }

  function accept(look: Look): void {
    good = isRacy(look) ? undefined : look.key
  }

  async function confirmFirst(): Promise<void> {
    const hashed = await (hashing ?? digestOf(files)).catch((cause: unknown) => {
      throw isModelmountError(cause) ? cause : new ModelmountError('MODEL_LOAD_FAILED', 'the model cannot be read', { cause })
    })
    const now = await lookAt(files)
    if (hashed.key !== first.key) throw changedMeanwhile()
    // Touched, or too fresh for a change to show: contents from before the load must still be there after it.
    if (now.key !== first.key || isRacy(now)) {
      const again = await digestOf(files)
      if (!sameAll(again.sha256, hashed.sha256)) throw changedMeanwhile()
    }
    digests = hashed.sha256
    accept(now)
  }

  async function check(look: Look, known: readonly string[]): Promise<void> {
    if (look.key === good) return
    if (look.key === bad?.key) throw bad.reason
    const reason = sizeReason(look) ?? (await contentReason(look, known))
    if (reason === undefined) {
      accept(look)
      return
    }
    const refusal = refused(reason)
    bad = isRacy(look) ? undefined : { key: look.key, reason: refusal }
    throw refusal
  }

  function sizeReason({ sizes }: Look): string | undefined {
    for (const [i, size] of sizes.entries()) {
      if (size === undefined) return `${nameOf(i)} is not there`
      if (size !== first.sizes[i]) return `${nameOf(i)} has ${size} bytes, and had ${first.sizes[i]}`
    }
    return undefined
  }

  async function contentReason(look: Look, known: readonly string[]): Promise<string | undefined> {
    const { sha256 } = await digestAt(look).catch(unreadable)
    const at = known.findIndex((digest, i) => digest !== sha256[i])
    return at < 0 ? undefined : `${nameOf(at)} holds other bytes of the same size`
  }

  const nameOf = (at: number): string => (at === 0 ? 'its file' : `file ${at} of its external data`)

  const idBy = (sha256: readonly string[]): string =>
    manifestIdOf([...files.keys()].map((name, i) => ({ name, sha256: sha256[i] ?? '', size: 0 })))

  return {
    get id() {
      return digests && idBy(digests)
    },
    async identify() {
      const hashed = await hashing
      return hashed && idBy(hashed.sha256)
    },
    async begin(dataFiles) {
      for (const [name, path] of dataFiles) files.set(name, path)
      if (dataFiles.size > 0) first = bothOf(first, await lookAt(dataFiles))
      hashing = digestOf(files)
      // The failure surfaces when the load is confirmed.
      hashing.catch(() => {})
    },
    async open() {
      const known = digests
      if (!known) return confirmFirst
      const before = await lookAt(files)
      await check(before, known)
      return async () => {
        const after = await lookAt(files)
        if (after.key === before.key && !isRacy(after)) return
        const { sha256 } = await digestOf(files).catch(unreadable)
        if (!sameAll(sha256, known)) throw changedMeanwhile()
        accept(after)
      }
    },
    async isUnchanged() {
      const look = await lookAt(files)
      if (!digests) return look.key === first.key
      return check(look, digests).then(
        () => true,
        () => false,
      )
    },
  }
}

async function lookAt(files: ReadonlyMap<string, string>): Promise<Look> {
  const stats = await Promise.all([...files.values()].map((path) => stat(path, { bigint: true }).catch(() => undefined)))
  return {
    key: stats.map((one) => (one ? identityOf(one) : 'none')).join(' '),
    sizes: stats.map((one) => (one ? Number(one.size) : undefined)),
    changedAtMs: Math.max(0, ...stats.map((one) => (one ? Number(one.ctimeNs / 1_000_000n) : 0))),
  }
}

const bothOf = (a: Look, b: Look): Look => ({
  key: `${a.key} ${b.key}`,
  sizes: [...a.sizes, ...b.sizes],
  changedAtMs: Math.max(a.changedAtMs, b.changedAtMs),
})

async function digestOf(files: ReadonlyMap<string, string>): Promise<Digests> {
  const paths = await Promise.all([...files.values()].map((path) => realpath(path)))
  const hashed = await hashFiles(
    paths.map((path) => ({ path })),
    THREAD_BYTES,
  )
  return { key: hashed.map(({ identity }) => identity).join(' '), sha256: hashed.map(({ sha256 }) => sha256) }
}

const sameAll = (a: readonly string[], b: readonly string[]): boolean => a.every((digest, i) => digest === b[i])

/** Clients see it, so it contains no path. */
const refused = (reason: string, cause?: unknown): ModelmountError =>
  new ModelmountError(
    'MODEL_LOAD_FAILED',
    `the model changed on disk since it was loaded: ${reason}; put it back, or load() it as a new version`,
    { cause },
  )

const changedMeanwhile = (): ModelmountError =>
  new ModelmountError('MODEL_LOAD_FAILED', 'the model changed on disk while it was being loaded; load it again')

function unreadable(cause: unknown): never {
  throw refused('it cannot be read', cause)
}
