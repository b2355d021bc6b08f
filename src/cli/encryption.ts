/** `modelmount encrypt`, `decrypt` and `rekey`: models at rest. */

import { decryptModel, encryptModel, type KeyProvider, keysFromEnv, keysFromFile, rekeyModel } from '../core/crypto/index.ts'
import { type Command, parse, UsageError } from './command.ts'
import { print } from './output.ts'

const KEYS_VARIABLE = 'MODELMOUNT_KEYS'

const KEYS_OPTION = `  --keys FILE         JSON: { "current": ID, "keys": { ID: 32 bytes in base64 } }; else ${KEYS_VARIABLE} holds that JSON`

const string = { type: 'string' } as const

function keysFrom(file: string | undefined): KeyProvider | Promise<KeyProvider> {
  if (file !== undefined) return keysFromFile(file)
  if (process.env[KEYS_VARIABLE] === undefined) throw new UsageError(`--keys FILE is missing, and ${KEYS_VARIABLE} is not set`)
  return keysFromEnv(KEYS_VARIABLE)
}

function only(command: string, positionals: readonly string[]): string {
  const [path, ...more] = positionals
  if (path === undefined || more.length > 0) throw new UsageError(`${command} takes one PATH`)
  return path
}

const required = (value: string | undefined, flag: string): string => {
  if (value === undefined) throw new UsageError(`${flag} is missing`)
  return value
}

export const encryptCommand: Command = {
  usage: `  modelmount encrypt PATH --out DIR --model NAME [--model-version V] --keys FILE
      Encrypts a model's files for one model name and version (AWS Encryption SDK format).`,
  options: `Options of encrypt and decrypt:
  --out DIR           where to write; files that are there are not overwritten
  --model NAME        name that the model must be served under
  --model-version V   and its version                                  (default 1)
  --app NAME          application that may open it                     (default modelmount)
${KEYS_OPTION}`,
  async run(argv) {
    const { values, positionals } = parse(argv, {
      out: string,
      model: string,
      'model-version': { ...string, default: '1' },
      app: { ...string, default: 'modelmount' },
      keys: string,
    })
    const path = only('encrypt', positionals)
    const { files, keyId, manifestId } = await encryptModel(path, {
      out: required(values.out, '--out DIR'),
      model: required(values.model, '--model NAME'),
      version: values['model-version'],
      app: values.app,
      keys: await keysFrom(values.keys),
    })
    print(...files.map((file) => `encrypted: ${file}`), `key: ${keyId}`, `manifest: ${manifestId}`)
    return 0
  },
}

export const decryptCommand: Command = {
  usage: `  modelmount decrypt PATH --out DIR [--model NAME] [--model-version V] --keys FILE
      Writes the plain files of an encrypted model; serving one does not need this.`,
  async run(argv) {
    const { values, positionals } = parse(argv, {
      out: string,
      model: string,
      'model-version': string,
      app: string,
      keys: string,
    })
    const path = only('decrypt', positionals)
    const { model, app, 'model-version': version } = values
    const decrypted = await decryptModel(path, {
      out: required(values.out, '--out DIR'),
      keys: await keysFrom(values.keys),
      ...(model === undefined ? {} : { model }),
      ...(version === undefined ? {} : { version }),
      ...(app === undefined ? {} : { app }),
    })
    print(
      ...decrypted.files.map((file) => `decrypted: ${file}`),
      `model: ${decrypted.model}, version ${decrypted.version}`,
      `manifest: ${decrypted.manifestId}`,
    )
    return 0
  },
}

export const rekeyCommand: Command = {
  usage: `  modelmount rekey PATH --keys FILE
      Encrypts files anew with the current key; run again, it goes on where it stopped.`,
  async run(argv) {
    const { values, positionals } = parse(argv, { keys: string })
    const path = only('rekey', positionals)
    const { rekeyed, skipped, keyId } = await rekeyModel(path, { keys: await keysFrom(values.keys) })
    print(...rekeyed.map((file) => `rekeyed: ${file}`), ...skipped.map((file) => `current already: ${file}`), `key: ${keyId}`)
    return 0
  },
}
