/** Refuses an encrypted file without revealing its contents. */

import { isModelmountError, ModelmountError } from '../errors.ts'
import { printable } from '../host/printable.ts'

/** Most keys that may open one message: more would let a sender make the reader try many. */
export const MAX_DATA_KEYS = 3

export const refuseFile = (file: string, why: string, cause?: unknown): ModelmountError =>
  new ModelmountError('MODEL_UNTRUSTED', `encrypted file '${printable(file).slice(0, 300)}' ${why}`, {
    details: { file },
    ...(cause === undefined ? {} : { cause }),
  })

/** The encryption library's errors tell tampering, truncation and a wrong key apart no better than this. */
export function refusalOf(error: unknown, file: string): ModelmountError {
  if (isModelmountError(error)) return error
  const { code } = error as NodeJS.ErrnoException
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code))
    return new ModelmountError(
      'MODEL_LOAD_FAILED',
      `file '${printable(file).slice(0, 300)}' cannot be read or written (${code})`,
      {
        details: { file },
        cause: error,
      },
    )
  if (error instanceof Error && error.message.includes('maxEncryptedDataKeys'))
    return refuseFile(file, `can be opened with more than ${MAX_DATA_KEYS} keys, which no model of ours can`, error)
  return refuseFile(file, 'is incomplete, was changed, or is no message of the AWS Encryption SDK', error)
}
