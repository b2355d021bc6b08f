/** Has the gate say which files a model is and whether they may run, and tells what came of it. */

import { isModelmountError, ModelmountError } from '../../errors.ts'
import { type Admitted, type Gate, signerName } from '../../integrity/index.ts'
import type { ModelConfig } from '../../options/index.ts'
import type { ServerEvent } from '../events.ts'

/** Without the model that it is about, which the server adds. */
export type IntegrityEvent = Omit<Extract<ServerEvent, { type: 'integrity' }>, 'model' | 'version'>

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

/** What is told of a model that must not run, or not any more. */
function refusalOf(error: unknown): IntegrityEvent | undefined {
  if (!isModelmountError(error) || error.code !== 'MODEL_UNTRUSTED') return undefined
  const revoked = error.details?.revoked === true
  return { type: 'integrity', outcome: 'refused', reason: error.message, ...(revoked ? { revoked } : {}) }
}
