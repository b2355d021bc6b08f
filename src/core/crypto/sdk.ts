/** The AWS Encryption SDK's own packages, loaded only for encryption. No AWS account and no network are involved. */

import type * as DecryptNode from '@aws-crypto/decrypt-node'
import type * as EncryptNode from '@aws-crypto/encrypt-node'
import type * as Materials from '@aws-crypto/material-management-node'
import type * as RawAes from '@aws-crypto/raw-aes-keyring-node'
import { ModelmountError } from '../errors.ts'
import { importPackage } from '../host/packages.ts'
import { MAX_DATA_KEYS } from './refusal.ts'

export interface Sdk {
  readonly encrypting: ReturnType<typeof EncryptNode.buildEncrypt>
  readonly decrypting: ReturnType<typeof DecryptNode.buildDecrypt>
  readonly materials: typeof Materials
  readonly rawAes: typeof RawAes
}

const PACKAGES = [
  '@aws-crypto/encrypt-node',
  '@aws-crypto/decrypt-node',
  '@aws-crypto/raw-aes-keyring-node',
  '@aws-crypto/material-management-node',
] as const

let loaded: Promise<Sdk> | undefined

/** @throws ModelmountError `OPTIONS_INVALID` if the packages are not installed */
export function loadSdk(): Promise<Sdk> {
  loaded ??= load().catch((error: unknown) => {
    // If it is installed meanwhile, the next call finds it.
    loaded = undefined
    throw error
  })
  return loaded
}

async function load(): Promise<Sdk> {
  const [encrypt, decrypt, rawAes, materials] = (await Promise.all(PACKAGES.map(importPackage)).catch((cause: unknown) => {
    throw new ModelmountError('OPTIONS_INVALID', `encrypted models need other packages; run: npm install ${PACKAGES.join(' ')}`, {
      cause,
    })
  })) as [typeof EncryptNode, typeof DecryptNode, typeof RawAes, typeof Materials]
  const options = {
    // Without commitment, one message could open to two plain texts under two keys.
    commitmentPolicy: materials.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    maxEncryptedDataKeys: MAX_DATA_KEYS,
  }
  return { encrypting: encrypt.buildEncrypt(options), decrypting: decrypt.buildDecrypt(options), materials, rawAes }
}
