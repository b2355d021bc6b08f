/** `modelmount serve`: a model repository behind the HTTP protocol, drained on SIGTERM. */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Isolation } from '../core/engine/types.ts'
import type { HttpDialect, MountOptions } from '../core/http/types.ts'
import { LOCK_FILE, type TrustOptions } from '../core/integrity/index.ts'
import { createModelServer } from '../core/server.ts'
import { CARRIER_NAMES, carry } from './carriers.ts'
import { type Command, parse, UsageError, wholeNumber } from './command.ts'
import { drainable } from './drain.ts'
import { repeatFlags } from './many.ts'
import { complain, print } from './output.ts'
import { startedTelemetry } from './telemetry.ts'
import { ANCHOR_FLAGS, ANCHOR_OPTIONS, anchorsFrom } from './verify.ts'

interface ServeOptions {
  readonly models: string
  readonly port: number
  readonly host: string
  /** If given, they hold for all models; else each model's own files decide. */
  readonly isolation: Isolation | undefined
  readonly instances: number | undefined
  readonly strict: boolean
  readonly adapter: string | undefined
  readonly lock: string | undefined
  readonly trust: TrustOptions | undefined
  readonly mount: MountOptions
}

export const serveCommand: Command = {
  usage: `  modelmount serve --models DIR [--port N] [--host H] [--adapter NAME]
      Serves a model repository over the Open Inference Protocol until SIGTERM.`,
  options: `Options of serve:
  --models DIR        directory with NAME/VERSION/model.onnx, NAME/model.onnx or NAME.onnx
  --port N            TCP port, 0 for any free one                     (default 8080)
  --host H            address to listen on                             (default 127.0.0.1)
  --adapter NAME      what carries the routes: express, fastify, nestjs, node or
                      fetch           (default express if it is installed, else node)
  --isolation TIER    thread or process                                (default: the model's own)
  --instances N       copies of each model                             (default: the model's own)
  --dialects LIST     request formats, separated by commas: open-inference,
                      tf-serving, mlflow              (default open-inference)
  --management        let clients load and unload models of DIR: only where
                      nobody else can reach the port
  --allow-priority    let clients say how urgent a request is
  --metrics           answer /metrics for Prometheus; needs OpenTelemetry, and
                      follows its OTEL_* variables
  --strict            exit with 1 when a model fails to load
  --locked            run only what DIR/models.lock.json lists, byte for byte
  --public-key FILE..., --certificate-roots FILE... and the like, as for verify:
                      run only what they have signed`,
  async run(argv) {
    const { values, positionals } = parse(repeatFlags(argv, ANCHOR_FLAGS), {
      models: { type: 'string' },
      port: { type: 'string', default: '8080' },
      host: { type: 'string', default: '127.0.0.1' },
      adapter: { type: 'string' },
      isolation: { type: 'string' },
      instances: { type: 'string' },
      dialects: { type: 'string', default: 'open-inference' },
      management: { type: 'boolean', default: false },
      'allow-priority': { type: 'boolean', default: false },
      metrics: { type: 'boolean', default: false },
      strict: { type: 'boolean', default: false },
      locked: { type: 'boolean', default: false },
      ...ANCHOR_OPTIONS,
    })
    if (positionals.length > 0) throw new UsageError(`serve takes no argument '${positionals[0]}'`)
    const { models, host, adapter, isolation } = values
    if (typeof models !== 'string') throw new UsageError('--models DIR is missing')
    const port = wholeNumber(values.port, '--port', 0, 65535)
    const instances = values.instances === undefined ? undefined : wholeNumber(values.instances, '--instances', 1, 256)
    if (adapter !== undefined && !CARRIER_NAMES.includes(String(adapter)))
      throw new UsageError(`--adapter must be one of ${CARRIER_NAMES.join(', ')}, got '${adapter}'`)
    if (isolation !== undefined && isolation !== 'thread' && isolation !== 'process')
      throw new UsageError(`--isolation must be thread or process, got '${isolation}'`)
    const mount = {
      dialects: dialectsOf(String(values.dialects)),
      management: values.management === true,
      allowPriority: values['allow-priority'] === true,
      metrics: values.metrics === true,
    }
    const signed = values['public-key'] ?? values['certificate-roots'] ?? values.identity
    return serve({
      models,
      port,
      host: String(host),
      isolation,
      instances,
      mount,
      strict: values.strict === true,
      adapter,
      lock: values.locked === true ? join(models, LOCK_FILE) : undefined,
      trust: signed === undefined ? undefined : { signers: [anchorsFrom(values)] },
    })
  },
}

const DIALECTS: readonly HttpDialect[] = ['open-inference', 'tf-serving', 'mlflow']

/** @throws UsageError */
function dialectsOf(text: string): HttpDialect[] {
  return text.split(',').map((name) => {
    const dialect = DIALECTS.find((known) => known === name)
    if (dialect) return dialect
    throw new UsageError(`--dialects must be of ${DIALECTS.join(', ')}, got '${name}'`)
  })
}

/** Above the keep-alive of usual client pools and proxies, so that this side never closes a connection they are about to use. */
const KEEP_ALIVE_MS = 75_000

/** Resolves with the exit code once a signal has ended the server and all accepted requests are answered. */
async function serve(opts: ServeOptions): Promise<number> {
  const { models, port, host, isolation, instances, strict, mount, lock, trust, adapter } = opts
  const ended = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  const telemetry = mount.metrics ? await startedTelemetry() : undefined
  const server = await createModelServer({ repository: models, isolation, instances, strict, telemetry, lock, trust })
  const http = await carry(adapter, server, mount)
  const stop = drainable(http)
  http.keepAliveTimeout = KEEP_ALIVE_MS
  http.listen(port, host)
  await once(http, 'listening')
  const address = http.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  print(JSON.stringify({ event: 'listening', url: `http://${name}:${address.port}` }))

  await ended
  complain('draining')
  await stop()
  await server.close()
  await telemetry?.shutdown()
  return 0
}
