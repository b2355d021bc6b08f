/**
 * Every model passes through this gate before anything else reads it. The gate decides whose signature it has, whether it may run,
 * and exactly which bytes are loaded. Later changes to the original files cannot change those.
 */

import { isModelmountError } from '../errors.ts'
import { type AdmitRequest, type Admitted, asItIs, type InMemory } from './admitted.ts'
import { type Coverage, coverageOf } from './coverage.ts'
import { createAdmitFiles } from './from-files.ts'
import { admitBytes, admitOpened } from './from-memory.ts'
import { createJudge } from './judge.ts'
import { readLock } from './lock-file.ts'
import type { GateConfig } from './options.ts'
import { createPolicy } from './policy.ts'
import { createStore } from './store.ts'

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

/** Reads keys, certificates and lock file. @throws ModelmountError `OPTIONS_INVALID` */
export async function createGate(config: GateConfig, deps: Deps): Promise<Gate> {
  const { verification, trust } = config
  const policy = trust && (await createPolicy(trust, deps.wallNow))
  const lock = config.lock === undefined ? undefined : await readLock(config.lock)
  if (lock && lock.onnxruntime !== deps.onnxruntime)
    deps.warn(`${config.lock} was written with onnxruntime-node ${lock.onnxruntime}, this process has ${deps.onnxruntime}`)
  const isOpen = verification === 'off' && !policy && !lock && !config.store
  const store = isOpen ? undefined : createStore(config.store ?? {}, deps)
  const judge = createJudge(policy, lock)
  const admitFiles = store && createAdmitFiles({ ...deps, store, judge })

  async function admit(request: AdmitRequest): Promise<Admitted> {
    const { source } = request
    const opened = await deps.decrypt(request)
    if (opened) return admitAs(opened.plainPath, request, (coverage) => admitOpened(request, opened, coverage, judge))
    if (!admitFiles) return { ...asItIs(source), integrity: undefined, doubt: undefined, async recheck() {} }
    return admitAs(source, request, (coverage) =>
      typeof source === 'string' ? admitFiles(request, source, coverage) : admitBytes(request, source, coverage, judge),
    )
  }

  /** @param place of the model, for its signature */
  async function admitAs(
    place: AdmitRequest['source'],
    request: AdmitRequest,
    admitIt: (coverage: Coverage | undefined) => Promise<Admitted>,
  ): Promise<Admitted> {
    if (verification === 'off') return admitIt(undefined)
    try {
      return await admitIt(await coverageOf({ ...request, source: place }, policy))
    } catch (error) {
      const isDoubt = isModelmountError(error) && error.code === 'MODEL_UNTRUSTED'
      if (verification === 'require' || !isDoubt) throw error
      // Once more without the signature: revoked models, and models missing in the lock file, are refused there, too.
      return { ...(await admitIt(undefined)), doubt: error.message }
    }
  }

  return { admit, close: () => void store?.close() }
}
