/** The gate in front of all models of a server. */

import { createDecrypt } from '../crypto/index.ts'
import { onnxRuntimeVersion } from '../host/packages.ts'
import { createGate, type Gate } from '../integrity/index.ts'
import { dataNamesOf } from '../model/load/files.ts'
import type { ServerConfig } from '../options/index.ts'

/** Reads keys, certificates and the lock file. @throws ModelmountError `OPTIONS_INVALID` */
export const openGate = (
  { integrity, encryption }: Pick<ServerConfig, 'integrity' | 'encryption'>,
  warn: (message: string) => void,
): Promise<Gate> =>
  createGate(integrity, {
    dataNamesOf,
    wallNow: Date.now,
    warn,
    onnxruntime: onnxRuntimeVersion(),
    decrypt: createDecrypt(encryption),
  })
