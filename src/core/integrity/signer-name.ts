import type { Signer } from './types.ts'

/** One line that names a signer, the same at every verification. */
export function signerName(signer: Signer): string {
  if (signer.method === 'key') return `key ${signer.keyId}`
  if (signer.method === 'certificate') return `certificate ${signer.subject}`
  return `identity ${signer.identity} of ${signer.issuer}`
}
