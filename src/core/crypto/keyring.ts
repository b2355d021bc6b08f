/** Adapts a key provider to the encryption library: a keyring that looks keys up by the id in the message. */

import type {
  EncryptedDataKey,
  KeyringNode,
  NodeDecryptionMaterial,
  NodeEncryptionMaterial,
} from '@aws-crypto/material-management-node'
import { isModelmountError, ModelmountError } from '../errors.ts'
import { printable } from '../host/printable.ts'
import { checkKey } from './keys.ts'
import type { Sdk } from './sdk.ts'
import type { EncryptionKey, KeyProvider } from './types.ts'

/** Tells our keys from others that a message may hold. */
const NAMESPACE = 'modelmount'
/** Follows the id in a raw AES key's provider info: tag length, IV length, IV. */
const INFO_TAIL_BYTES = 4 + 4 + 12

export interface Keyring {
  readonly node: KeyringNode
  /** Id of the key in use; '' before. */
  readonly usedId: string
}

export function createKeyring({ materials, rawAes }: Sdk, keys: KeyProvider): Keyring {
  let usedId = ''

  function rawKeyring({ id, key }: EncryptionKey): KeyringNode {
    usedId = id
    return new rawAes.RawAesKeyringNode({
      keyNamespace: NAMESPACE,
      keyName: id,
      // The library wipes the key that it receives.
      unencryptedMasterKey: Uint8Array.from(key),
      wrappingSuite: rawAes.RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
    })
  }

  class ProviderKeyring extends materials.KeyringNode {
    async _onEncrypt(material: NodeEncryptionMaterial): Promise<NodeEncryptionMaterial> {
      return rawKeyring(await currentKey(keys)).onEncrypt(material)
    }

    async _onDecrypt(material: NodeDecryptionMaterial, dataKeys: EncryptedDataKey[]): Promise<NodeDecryptionMaterial> {
      const ids: string[] = []
      for (const dataKey of dataKeys) {
        const id = idOf(dataKey)
        if (id === undefined) continue
        ids.push(id)
        const key = await asked(() => keys.byId(id))
        if (key === undefined) continue
        if (checkKey(key, 'keys.byId()').id !== id)
          throw new ModelmountError('OPTIONS_INVALID', `keys.byId('${printable(id)}') gave the key of another id`)
        return rawKeyring(key).onDecrypt(material, [dataKey])
      }
      const wanted = ids.map((id) => `'${printable(id).slice(0, 128)}'`).join(', ') || 'keys that are not modelmount’s'
      throw new ModelmountError('MODEL_UNTRUSTED', `the file is encrypted with ${wanted}, and no such key is at hand`, {
        details: { keyIds: ids },
      })
    }
  }

  return {
    node: new ProviderKeyring(),
    get usedId() {
      return usedId
    },
  }
}

export const currentKey = async (keys: KeyProvider): Promise<EncryptionKey> =>
  checkKey(await asked(() => keys.current()), 'keys.current()')

/** Keys come from outside: a failure there is neither the file's fault nor ours. */
async function asked<T>(ask: () => T | Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    if (isModelmountError(cause)) throw cause
    throw new ModelmountError('MODEL_LOAD_FAILED', 'the key provider failed', { cause })
  }
}

function idOf({ providerId, rawInfo }: EncryptedDataKey): string | undefined {
  if (providerId !== NAMESPACE || !rawInfo || rawInfo.length <= INFO_TAIL_BYTES) return undefined
  return Buffer.from(rawInfo.subarray(0, rawInfo.length - INFO_TAIL_BYTES)).toString('utf8')
}
