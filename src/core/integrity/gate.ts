/**
 * Every model passes through this gate before anything else reads it. The gate decides whose signature it has, whether it may run,
 * and exactly which bytes are loaded. Later changes to the original files cannot change those.
 */

import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isModelmountError, ModelmountError } from '../errors.ts'
import { printable } from '../host/printable.ts'
import type { Verdict } from './anchors.ts'
import { dataPath, missing, signatureBeside } from './beside.ts'
import { GIT_PATHS, listFiles } from './files.ts'
import { hashFiles } from './hash-thread.ts'
import { type Lock, readLock } from './lock-file.ts'
import { type ManifestFile, manifestIdOf } from './manifest.ts'
import type { GateConfig } from './options.ts'
import { createPolicy } from './policy.ts'
import { refuse } from './refusal.ts'
import { signerName } from './signer-name.ts'
import { createStore, type Stored } from './store.ts'
import type { Integrity, SignatureSource } from './types.ts'
import { checkNames, ownName, readSignature, signatureDigest } from './verify.ts'

export interface AdmitRequest {
  readonly name: string
  readonly version: string
  readonly source: string | Uint8Array
  /** @default `<source>.sig`, or `model.sig` beside it */
  readonly signature: SignatureSource | undefined
}

export interface Admitted {
  /** The source to load. */
  readonly source: string | Uint8Array
  /** Files that it keeps weights in, by name, unless they are read from disk. */
  readonly data: ReadonlyMap<string, Uint8Array>
  /** Undefined if no check was required. */
  readonly integrity: Integrity | undefined
  /** Why it would have been refused, if that is only worth a warning. */
  readonly doubt: string | undefined
  /** Checks once more before a reload. @throws ModelmountError `MODEL_UNTRUSTED` if it was revoked meanwhile, or changed in the store */
  recheck(): Promise<void>
  /** The model is gone: the store may forget it. */
  release(): void
}

export interface Gate {
  /**
   * @throws ModelmountError `MODEL_UNTRUSTED` if the model must not run; `MODEL_LOAD_FAILED` if its files or the store cannot be read or
   *   written; errors of `dataNamesOf`
   */
  admit(request: AdmitRequest): Promise<Admitted>
  /** Does not wait for a clean-up of the store. */
  close(): void
}

interface Deps {
  /** Names of the files that a model keeps weights in. */
  dataNamesOf(source: string): Promise<readonly string[]>
  /** Milliseconds since 1970. */
  wallNow(): number
  warn(message: string): void
  /** Release of onnxruntime-node. */
  readonly onnxruntime: string
  /** An encrypted model as private bytes; `undefined` for one that is not encrypted. */
  decrypt(request: AdmitRequest): Promise<InMemory> | undefined
  /** For tests: the files were hashed, and nothing has been loaded yet. */
  hashed?(): Promise<void> | void
}

/** A model without any plain bytes on disk. */
export interface InMemory {
  /** Path of its own file without the suffix of encryption: the signature is looked up beside it. */
  readonly plainPath: string
  readonly bytes: Uint8Array
  readonly data: ReadonlyMap<string, Uint8Array>
  readonly files: readonly ManifestFile[]
}

const NO_DATA: ReadonlyMap<string, Uint8Array> = new Map()

/** A valid signature, and the files that it covers. */
interface Proof extends Verdict {
  readonly digest: string
  /** Digest by name, from the signer. */
  readonly signed: ReadonlyMap<string, string>
  /** `.` is the only file. */
  readonly isOfOneFile: boolean
  readonly ignored: readonly string[]
}

/** Bytes hashed in one go, so that the event loop turns in between. */
const SLICE_BYTES = 1024 * 1024

/** Reads keys, certificates and lock file. @throws ModelmountError `OPTIONS_INVALID` */
export async function createGate(config: GateConfig, deps: Deps): Promise<Gate> {
  const { verification, trust } = config
  const policy = trust && (await createPolicy(trust, deps.wallNow))
  const lock = config.lock === undefined ? undefined : await readLock(config.lock)
  if (lock && lock.onnxruntime !== deps.onnxruntime)
    deps.warn(`${config.lock} was written with onnxruntime-node ${lock.onnxruntime}, this process has ${deps.onnxruntime}`)
  const isOpen = verification === 'off' && !policy && !lock && !config.store
  const store = isOpen ? undefined : createStore(config.store ?? {}, deps)

  async function admit(request: AdmitRequest): Promise<Admitted> {
    const opened = await deps.decrypt(request)
    if (opened) return admitAs(opened.plainPath, request, (proof) => takeOpened(request, opened, proof))
    if (!store) return { ...asItIs(request.source), integrity: undefined, doubt: undefined, async recheck() {} }
    return admitAs(request.source, request, (proof) => take(request, proof))
  }

  /** @param place of the model, for its signature */
  async function admitAs(
    place: AdmitRequest['source'],
    request: AdmitRequest,
    takeIt: (proof: Proof | undefined) => Promise<Admitted>,
  ): Promise<Admitted> {
    if (verification === 'off') return takeIt(undefined)
    try {
      return await takeIt(await prove({ ...request, source: place }))
    } catch (error) {
      const isDoubt = isModelmountError(error) && error.code === 'MODEL_UNTRUSTED'
      if (verification === 'require' || !isDoubt) throw error
      // Once more without the signature: revoked models, and models missing in the lock file, are refused there, too.
      return { ...(await takeIt(undefined)), doubt: error.message }
    }
  }

  // ---------------------------------------------------------------- signatures

  async function prove({ name, source, signature }: AdmitRequest): Promise<Proof> {
    if (!policy) throw refuse('no signer is trusted')
    const from = signature ?? (await signatureBeside(source))
    const file = await readSignature(from)
    const verdict = await policy.check(name, file)
    const { resources, ignorePaths } = verdict.statement
    const own = typeof source === 'string' ? await ownName(dirname(source), from) : []
    return {
      ...verdict,
      digest: signatureDigest(file),
      signed: new Map(resources.map(({ name, sha256 }) => [name, sha256])),
      isOfOneFile: resources.some(({ name }) => name === '.'),
      ignored: [...GIT_PATHS, ...ignorePaths, ...own],
    }
  }

  // ---------------------------------------------------------------- files

  function take(request: AdmitRequest, proof: Proof | undefined): Promise<Admitted> {
    return typeof request.source === 'string'
      ? takeFiles(request, request.source, proof)
      : takeBytes(request, request.source, proof)
  }

  async function takeBytes(request: AdmitRequest, source: Uint8Array, proof: Proof | undefined): Promise<Admitted> {
    const hash = createHash('sha256')
    for (let at = 0; at < source.length; at += SLICE_BYTES) {
      hash.update(source.subarray(at, at + SLICE_BYTES))
      await setImmediate()
    }
    const file = { name: '.', sha256: hash.digest('hex'), size: source.length }
    if (proof && !proof.isOfOneFile) throw refuse('the signature is of a folder, and the model is bytes: sign its file')
    expectSigned(proof, '.', '.', file.sha256)
    return judged(request, asItIs(source), [file], proof)
  }

  /** Every loaded file is in memory. Other files of a signed folder are not checked, and cannot be opened. */
  async function takeOpened(request: AdmitRequest, opened: InMemory, proof: Proof | undefined): Promise<Admitted> {
    const { plainPath, bytes, data, files } = opened
    for (const { name, sha256 } of files)
      expectSigned(proof, name === '.' && !proof?.isOfOneFile ? basename(plainPath) : name, name, sha256)
    return judged(request, { ...asItIs(bytes), data }, files, proof)
  }

  async function judged(
    request: AdmitRequest,
    loaded: Pick<Admitted, 'source' | 'data' | 'release'>,
    files: readonly ManifestFile[],
    proof: Proof | undefined,
  ): Promise<Admitted> {
    const manifestId = manifestIdOf(files)
    await judge(request, manifestId, proof)
    return {
      ...loaded,
      integrity: integrityOf(manifestId, proof),
      doubt: undefined,
      recheck: () => judge(request, manifestId, proof),
    }
  }

  async function takeFiles(request: AdmitRequest, source: string, proof: Proof | undefined): Promise<Admitted> {
    const root = await realpath(dirname(source)).catch(missing(source))
    const isOfFolder = proof !== undefined && !proof.isOfOneFile
    const main = isOfFolder ? join(root, basename(source)) : await realpath(source).catch(missing(source))
    const others = isOfFolder ? await otherFiles(root, proof) : new Map<string, string>()
    const nameOf = (name: string): string => (isOfFolder && name === '.' ? basename(source) : name)
    const check = (name: string, sha256: string): void => {
      expectSigned(proof, nameOf(name), name, sha256)
      others.delete(nameOf(name))
    }
    const stored =
      (await known(request, main, root, proof, check)) ?? (await copied(request, main, root, proof, check, basename(source)))
    await checkOthers(others, proof)
    await deps.hashed?.()
    return {
      source: stored.source,
      data: NO_DATA,
      integrity: integrityOf(stored.manifestId, proof),
      doubt: undefined,
      async recheck() {
        await judge(request, stored.manifestId, proof)
        if (!(await store?.find(stored.manifestId))) throw refuse('the model was changed in the store, or taken out of it')
      },
      release: store?.hold(stored.manifestId) ?? (() => {}),
    }
  }

  /** Files hashed before, untouched since, and still in the store. */
  async function known(
    request: AdmitRequest,
    main: string,
    root: string,
    proof: Proof | undefined,
    check: (name: string, sha256: string) => void,
  ): Promise<Stored | undefined> {
    const seen = await store?.seen(main)
    if (!seen?.dataNames) return undefined
    const files: ManifestFile[] = [{ name: '.', sha256: seen.sha256, size: seen.size }]
    for (const name of seen.dataNames) {
      const data = await store?.seen(await dataPath(root, name, proof?.signed))
      if (!data) return undefined
      files.push({ name, sha256: data.sha256, size: data.size })
    }
    const manifestId = manifestIdOf(files)
    for (const { name, sha256 } of files) check(name, sha256)
    await judge(request, manifestId, proof)
    return store?.find(manifestId)
  }

  async function copied(
    request: AdmitRequest,
    main: string,
    root: string,
    proof: Proof | undefined,
    check: (name: string, sha256: string) => void,
    as: string,
  ): Promise<Stored> {
    if (!store) throw new ModelmountError('INTERNAL', 'a model was to be copied without a store')
    const staging = await store.stage()
    try {
      const own = await staging.add('.', as, main)
      // Only models from trusted signers are opened.
      check('.', own.sha256)
      const dataNames = await deps.dataNamesOf(staging.path(as))
      const files: ManifestFile[] = [{ name: '.', ...own }]
      for (const name of dataNames) {
        const path = await dataPath(root, name, proof?.signed)
        const data = await staging.add(name, name, path)
        check(name, data.sha256)
        await store.remember(path, data)
        files.push({ name, ...data })
      }
      await store.remember(main, own, dataNames)
      await judge(request, manifestIdOf(files), proof)
      return await staging.commit()
    } catch (error) {
      await staging.discard()
      throw error
    }
  }

  /** Files of a signed folder that are not loaded must match the signature as well, as they must for every other verifier. */
  async function otherFiles(root: string, proof: Proof): Promise<Map<string, string>> {
    const files = await listFiles(root, proof.ignored)
    checkNames(proof.statement.resources, files)
    return new Map(files.map(({ name, path }) => [name, path]))
  }

  async function checkOthers(others: ReadonlyMap<string, string>, proof: Proof | undefined): Promise<void> {
    for (const [name, path] of others) {
      let sha256 = (await store?.seen(path))?.sha256
      if (sha256 === undefined) {
        const [hashed] = await hashFiles([{ path }])
        if (hashed) await store?.remember(path, hashed)
        sha256 = hashed?.sha256 ?? ''
      }
      expectSigned(proof, name, name, sha256)
    }
  }

  async function judge({ name, version }: AdmitRequest, manifestId: string, proof: Proof | undefined): Promise<void> {
    await policy?.refuseRevoked(manifestId)
    if (lock) checkLock(lock, name, version, manifestId, proof)
  }

  return { admit, close: () => void store?.close() }
}

const asItIs = (source: string | Uint8Array) => ({ source, data: NO_DATA, release() {} })

function checkLock({ models }: Lock, name: string, version: string, manifestId: string, proof: Proof | undefined): void {
  const entry = models.find((model) => model.name === name && model.version === version)
  if (!entry) throw refuse(`model '${name}' version '${version}' is not in the lock file`)
  if (entry.manifestId !== manifestId)
    throw refuse(
      `model '${name}' version '${version}' is not what the lock file says: ${entry.manifestId} expected, got ${manifestId}`,
    )
  const signer = proof && signerName(proof.signer)
  if (entry.signer && signer !== undefined && signer !== entry.signer)
    throw refuse(`model '${name}' version '${version}' was signed by ${signer}, not by ${entry.signer} as the lock file says`)
}

const integrityOf = (manifestId: string, proof: Proof | undefined): Integrity =>
  proof ? { manifestId, signer: proof.signer, signatureDigest: proof.digest } : { manifestId }

/** @param shown its name in errors */
function expectSigned(proof: Proof | undefined, name: string, shown: string, sha256: string): void {
  if (!proof) return
  const signed = proof.signed.get(name)
  const what = shown === '.' ? "the model's file" : `file '${printable(shown)}'`
  if (signed === undefined) throw refuse(`${what} is not covered by the signature`, { file: shown })
  if (signed !== sha256) throw refuse(`${what} is not what was signed`, { file: shown })
}
