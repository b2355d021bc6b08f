#!/usr/bin/env node
/** The `modelmount` command: a thin shell over the public API. */

import { isModelmountError } from '../core/errors.ts'
import { VERSION } from '../core/version.ts'
import { type Command, UsageError } from './command.ts'
import { decryptCommand, encryptCommand, rekeyCommand } from './encryption.ts'
import { inspectCommand } from './inspect.ts'
import { lockCommand } from './lock.ts'
import { serveCommand } from './serve.ts'
import { signCommand } from './sign.ts'
import { typegenCommand } from './typegen/index.ts'
import { verifyCommand } from './verify.ts'

const COMMANDS = new Map<string, Command>([
  ['serve', serveCommand],
  ['inspect', inspectCommand],
  ['typegen', typegenCommand],
  ['sign', signCommand],
  ['verify', verifyCommand],
  ['encrypt', encryptCommand],
  ['decrypt', decryptCommand],
  ['rekey', rekeyCommand],
  ['lock', lockCommand],
])

const all = [...COMMANDS.values()]
const USAGE = `modelmount ${VERSION}: serve ONNX models from a Node backend

Usage:
${all.map(({ usage }) => usage).join('\n')}

${all.flatMap(({ options }) => options ?? []).join('\n\n')}
`

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv
  const command = COMMANDS.get(name ?? '')
  if (command) return command.run(rest)
  switch (name) {
    case '--version':
    case '-v':
      process.stdout.write(`${VERSION}\n`)
      return 0
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(USAGE)
      return 0
    default:
      throw new UsageError(name === undefined ? 'a command is missing' : `there is no command '${name}'`)
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    if (error instanceof UsageError) {
      process.stderr.write(`modelmount: ${error.message}\n\n${USAGE}`)
      process.exitCode = 2
    } else {
      const text = isModelmountError(error)
        ? `${error.message} (${error.code})`
        : error instanceof Error
          ? error.message
          : String(error)
      process.stderr.write(`modelmount: ${text}\n`)
      process.exitCode = 1
    }
  },
)
