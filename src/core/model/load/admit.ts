/** Asks the gate which files a model consists of and whether they may run, and reports the outcome. */

import type { OpenChannel } from '../../engine/channel.ts'
import { prestart } from '../../engine/prestart.ts'
import { openThread } from '../../engine/thread.ts'
import { isModelmountError, ModelmountError } from '../../errors.ts'
import { type Admitted, type Content, fixedContent, type Gate, openContent, signerName } from '../../integrity/index.ts'
import type { ModelConfig } from '../../options/index.ts'
import type { IntegrityEvent } from '../deps.ts'
import { isSmall } from '../seating.ts'
import type { LoadContext } from './context.ts'

/** A verification that takes longer than this has the first worker thread started beside it. */
const PRESTART_AFTER_MS = 5

/** The files that a version is loaded from: the file of its settings, or the verified copy of it. */
export interface Files {
  readonly admitted: Admitted
  readonly content: Content
  /** Starts worker threads; the first may have been started already. */
  readonly openThread: OpenChannel
  /** Ends one that was started and is not needed. */
  dropThread(): void
}

/** @param wanted.mustBe id of the manifest that the files must have */
export async function admit(wanted: { readonly mustBe: string | undefined }, context: LoadContext): Promise<Files> {
  const { deps, times } = context
  const { config } = context.known()
  if (config.fault) throw config.fault
  const needsThread = config.isolation === 'thread' && !(await isSmall(config))
  const spare = needsThread ? prestart(openThread, deps.clock, PRESTART_AFTER_MS) : undefined
  const dropThread = (): void => spare?.drop()
  context.atEnd(dropThread)
  const admitted = await times.time('verify', admitFiles(config, { gate: deps.gate, mustBe: wanted.mustBe, emit: deps.emit }))
  context.take({ close: () => admitted.release() })
  context.learn({ integrity: admitted.integrity })
  spare?.settle()
  return { admitted, content: await contentFor(admitted), openThread: spare?.open ?? openThread, dropThread }
}

/** Files out of the store are verified there. */
const contentFor = async ({ source, integrity }: Admitted): Promise<Content> =>
  typeof source !== 'string' || integrity ? fixedContent(integrity?.manifestId) : openContent(source, { wallNow: Date.now })

interface Deps {
  readonly gate: Gate
  /** Id of the manifest that the files must have. */
  readonly mustBe: string | undefined
  emit(event: IntegrityEvent): void
}

/**
 * Nothing reads the files before this has said which ones.
 * @throws ModelmountError `MODEL_CONFLICT` for other files than `mustBe` says, and what the gate throws
 */
export async function admitFiles(config: ModelConfig, { gate, mustBe, emit }: Deps): Promise<Admitted> {
  const { name, version, source, signature } = config
  const told = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      const refusal = refusalOf(error)
      if (refusal) emit(refusal)
      throw error
    })
  const admitted = await told(gate.admit({ name, version, source, signature }))
  const { integrity, doubt } = admitted
  if (!integrity) return admitted
  const { manifestId, signer } = integrity
  if (mustBe !== undefined && manifestId !== mustBe) {
    admitted.release()
    throw new ModelmountError(
      'MODEL_CONFLICT',
      `model '${name}' version '${version}' is ${mustBe}, and this is ${manifestId}; load it as another version, or with replace: true`,
      { details: { model: name, version, expected: mustBe, got: manifestId } },
    )
  }
  if (signer) emit({ type: 'integrity', outcome: 'verified', manifestId, signer: signerName(signer) })
  else emit({ type: 'integrity', outcome: 'unverified', manifestId, ...(doubt === undefined ? {} : { reason: doubt }) })
  return { ...admitted, recheck: () => told(admitted.recheck()) }
}

/** The event of a model that must not run, or not any more. */
function refusalOf(error: unknown): IntegrityEvent | undefined {
  if (!isModelmountError(error) || error.code !== 'MODEL_UNTRUSTED') return undefined
  const revoked = error.details?.revoked === true
  return { type: 'integrity', outcome: 'refused', reason: error.message, ...(revoked ? { revoked } : {}) }
}
