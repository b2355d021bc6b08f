/** `modelmount sign`: signs every file of a model. */

import { signModel } from '../core/integrity/index.ts'
import { type Command, parse, UsageError } from './command.ts'
import { repeatFlags } from './many.ts'
import { print, printJson } from './output.ts'
import { describe, ignorePathsFor, onlyPath } from './verify.ts'

/** An argument would show in the list of processes. */
const PASSPHRASE = 'MODELMOUNT_KEY_PASSPHRASE'

export const signCommand: Command = {
  usage: `  modelmount sign PATH --signature FILE --private-key FILE [--certificate FILE]
      Signs a model, a file or a folder, in the format OpenSSF Model Signing v1.0.`,
  options: `Options of sign:
  --signature FILE            where to write the signature; inside the model is fine
  --private-key FILE          EC key on P-256, P-384 or P-521, PEM; ${PASSPHRASE} holds its passphrase
  --certificate FILE          certificate of that key, also --signing-certificate
  --certificate-chain FILE... certificates between that one and the root
  --ignore-paths PATH...      files and folders that are not signed
  --json                      one JSON object instead of text`,
  async run(argv) {
    const many = { type: 'string', multiple: true } as const
    const { values, positionals } = parse(repeatFlags(argv, ['--certificate-chain', '--ignore-paths']), {
      signature: { type: 'string' },
      'private-key': { type: 'string' },
      certificate: { type: 'string' },
      'signing-certificate': { type: 'string' },
      'certificate-chain': many,
      'ignore-paths': many,
      json: { type: 'boolean', default: false },
    })
    const path = onlyPath('sign', positionals)
    const { signature, 'private-key': privateKey, 'certificate-chain': certificateChain } = values
    if (signature === undefined) throw new UsageError('--signature FILE is missing')
    if (privateKey === undefined) throw new UsageError('--private-key FILE is missing')
    const certificate = values.certificate ?? values['signing-certificate']
    if (certificateChain && certificate === undefined) throw new UsageError('--certificate-chain needs --certificate FILE')
    const passphrase = process.env[PASSPHRASE]
    const { digest, signer, files } = await signModel(path, {
      signature,
      privateKey,
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(certificate === undefined ? {} : { certificate }),
      ...(certificateChain ? { certificateChain } : {}),
      ignorePaths: ignorePathsFor(path, values['ignore-paths'] ?? []),
    })
    const count = `${files.length} ${files.length === 1 ? 'file' : 'files'}`
    if (values.json) printJson({ path, signature, digest, signer, files })
    else print(`signed: ${count} by ${describe(signer)}`, `digest: ${digest}`)
    return 0
  },
}
