#!/usr/bin/env node
/** The `modelmount` command: a thin shell over the public API. */

import { type ParseArgsConfig, parseArgs } from 'node:util'
import { isModelmountError } from '../core/errors.ts'
import { VERSION } from '../core/version.ts'
import { inspect } from './inspect.ts'
import { serve } from './serve.ts'

const USAGE = `modelmount ${VERSION}: serve ONNX models from a Node backend

Usage:
  modelmount serve --models DIR [--port N] [--host H] [--adapter express]
      Serves a model repository over the Open Inference Protocol until SIGTERM.
  modelmount inspect FILE [--json]
      Prints what a model file takes and gives, without running it.

Options of serve:
  --models DIR        directory with NAME/VERSION/model.onnx, NAME/model.onnx or NAME.onnx
  --port N            TCP port, 0 for any free one                     (default 8080)
  --host H            address to listen on                             (default 127.0.0.1)
  --adapter NAME      framework that carries the routes: express       (default express)
  --isolation TIER    thread or process                                (default thread)
  --instances N       copies of each model                             (default 1)
  --strict            exit with 1 when a model fails to load
`

/** Wrong use of the command itself: exit code 2. */
class UsageError extends Error {}

async function main(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv
  switch (command) {
    case 'serve':
      return runServe(rest)
    case 'inspect':
      return runInspect(rest)
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
      throw new UsageError(command === undefined ? 'a command is missing' : `there is no command '${command}'`)
  }
}

async function runServe(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parse(argv, {
    models: { type: 'string' },
    port: { type: 'string', default: '8080' },
    host: { type: 'string', default: '127.0.0.1' },
    adapter: { type: 'string', default: 'express' },
    isolation: { type: 'string', default: 'thread' },
    instances: { type: 'string', default: '1' },
    strict: { type: 'boolean', default: false },
  })
  if (positionals.length > 0) throw new UsageError(`serve takes no argument '${positionals[0]}'`)
  const { models, host, adapter, isolation } = values
  if (typeof models !== 'string') throw new UsageError('--models DIR is missing')
  const port = wholeNumber(values.port, '--port', 0, 65535)
  const instances = wholeNumber(values.instances, '--instances', 1, 256)
  if (adapter !== 'express') throw new UsageError(`--adapter must be express, got '${adapter}'`)
  if (isolation !== 'thread' && isolation !== 'process')
    throw new UsageError(`--isolation must be thread or process, got '${isolation}'`)
  return serve({ models, port, host: String(host), isolation, instances, strict: values.strict === true })
}

async function runInspect(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parse(argv, { json: { type: 'boolean', default: false } })
  const [file, ...more] = positionals
  if (file === undefined || more.length > 0) throw new UsageError('inspect takes one FILE')
  process.stdout.write(`${(await inspect(file, { json: values.json === true })).trimEnd()}\n`)
  return 0
}

type OptionTypes = NonNullable<ParseArgsConfig['options']>

function parse<T extends OptionTypes>(args: readonly string[], options: T) {
  try {
    return parseArgs<{ args: string[]; options: T; allowPositionals: true }>({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function wholeNumber(text: unknown, name: string, min: number, max: number): number {
  const value = typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min && value <= max))
    throw new UsageError(`${name} must be a whole number from ${min} to ${max}, got '${String(text)}'`)
  return value
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
