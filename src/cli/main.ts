#!/usr/bin/env node
/** The `modelmount` command: a thin shell over the public API. */

import { isModelmountError } from '../core/errors.ts'
import { VERSION } from '../core/version.ts'
import { type Command, UsageError } from './command.ts'
import { decryptCommand, encryptCommand, rekeyCommand } from './encryption.ts'
import { inspectCommand } from './inspect.ts'
import { lockCommand } from './lock.ts'
import { complain, explain, print } from './output.ts'
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
const TITLE = `modelmount ${VERSION}: serve ONNX models from a Node backend`

/** For all commands, or for one. */
function usageOf(name?: string): string {
  const command = COMMANDS.get(name ?? '')
  const options = all.flatMap(({ options }) => options ?? [])
  if (name === undefined || !command)
    return [TITLE, `Usage:\n${all.map(({ usage }) => usage).join('\n')}`, ...options, ''].join('\n\n')
  // Some commands share their options.
  const own = options.filter((text) => text.slice(0, text.indexOf(':')).split(' ').includes(name))
  return `${[`Usage:\n${command.usage}`, ...own].join('\n\n')}\n`
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv
  const command = COMMANDS.get(name ?? '')
  if (command && !rest.some((arg) => arg === '--help' || arg === '-h')) return command.run(rest)
  if (command) {
    print(...usageOf(name).trimEnd().split('\n'))
    return 0
  }
  switch (name) {
    case '--version':
    case '-v':
      print(VERSION)
      return 0
    case 'help':
    case '--help':
    case '-h':
      print(...usageOf().trimEnd().split('\n'))
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
      complain(error.message)
      explain(`\n${usageOf(process.argv[2]).trimEnd()}`)
      process.exitCode = 2
    } else {
      const text = isModelmountError(error)
        ? `${error.message} (${error.code})`
        : error instanceof Error
          ? error.message
          : String(error)
      complain(text)
      process.exitCode = 1
    }
  },
)
