/** Messages of the encryption library as anybody who has it can make them. */

import { randomBytes } from 'node:crypto'
import { buildEncrypt } from '@aws-crypto/encrypt-node'
import { AlgorithmSuiteIdentifier, CommitmentPolicy, MultiKeyringNode } from '@aws-crypto/material-management-node'
import { RawAesKeyringNode, RawAesWrappingSuiteIdentifier } from '@aws-crypto/raw-aes-keyring-node'
import type { EncryptionKey, KeyProvider } from 'modelmount'

export const key = (id: string): EncryptionKey => ({ id, key: new Uint8Array(randomBytes(32)) })

export const ring = (current: EncryptionKey, ...others: EncryptionKey[]): KeyProvider => ({
  current: () => current,
  byId: (id) => [current, ...others].find((known) => known.id === id),
})

/**
 * @param keys each of them opens the message
 * @param namespace of the keys
 */
export async function messageFor(
  keys: readonly [EncryptionKey, ...EncryptionKey[]],
  bytes: Uint8Array,
  encryptionContext: Record<string, string>,
  namespace = 'modelmount',
): Promise<Uint8Array> {
  const [generator, ...children] = keys.map(
    ({ id, key }) =>
      new RawAesKeyringNode({
        keyNamespace: namespace,
        keyName: id,
        unencryptedMasterKey: Uint8Array.from(key),
        wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
      }),
  )
  const { encrypt } = buildEncrypt({
    commitmentPolicy: CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    maxEncryptedDataKeys: false,
  })
  const { result } = await encrypt(new MultiKeyringNode({ generator, children }), Buffer.from(bytes), {
    suiteId: AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY,
    encryptionContext,
  })
  return result
}
