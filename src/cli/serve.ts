/** `modelmount serve`: a model repository behind the HTTP protocol, drained on SIGTERM. */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { MountOptions } from '../core/http/types.ts'
import { LOCK_FILE } from '../core/integrity/index.ts'
import type { ModelServerOptions } from '../core/server/types.ts'
import { createModelServer } from '../core/server.ts'
import { CARRIER_NAMES, carry } from './carriers.ts'
import { type Command, parse, UsageError, wholeNumber } from './command.ts'
import { drainable } from './drain.ts'
import { DECLARED_FLAGS, DECLARED_USAGE, mountOptionsFrom, serverOptionsFrom } from './flags.ts'
import { repeatFlags } from './many.ts'
import { complain, print } from './output.ts'
import { startedTelemetry } from './telemetry.ts'
import { ANCHOR_FLAGS, ANCHOR_OPTIONS, anchorsFrom } from './verify.ts'

interface ServeOptions {
  readonly options: ModelServerOptions
  readonly mount: MountOptions
  readonly port: number
  readonly host: string
  readonly adapter: string | undefined
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
${DECLARED_USAGE}
  --locked            run only what DIR/models.lock.json lists, byte for byte
  --public-key FILE..., --certificate-roots FILE... and the like, as for verify:
                      run only what they have signed`,
  async run(argv) {
    const { values, positionals } = parse(repeatFlags(argv, ANCHOR_FLAGS), {
      models: { type: 'string' },
      port: { type: 'string', default: '8080' },
      host: { type: 'string', default: '127.0.0.1' },
      adapter: { type: 'string' },
      ...DECLARED_FLAGS,
      locked: { type: 'boolean', default: false },
      ...ANCHOR_OPTIONS,
    })
    if (positionals.length > 0) throw new UsageError(`serve takes no argument '${positionals[0]}'`)
    const { models, host, adapter } = values
    if (typeof models !== 'string') throw new UsageError('--models DIR is missing')
    const port = wholeNumber(values.port, '--port', 0, 65535)
    if (adapter !== undefined && !CARRIER_NAMES.includes(String(adapter)))
      throw new UsageError(`--adapter must be one of ${CARRIER_NAMES.join(', ')}, got '${adapter}'`)
    const signed = values['public-key'] ?? values['certificate-roots'] ?? values.identity
    return serve({
      options: {
        ...serverOptionsFrom(values),
        repository: models,
        lock: values.locked === true ? join(models, LOCK_FILE) : undefined,
        trust: signed === undefined ? undefined : { signers: [anchorsFrom(values)] },
      },
      mount: mountOptionsFrom(values),
      port,
      host: String(host),
      adapter,
    })
  },
}

/** Above the keep-alive of usual client pools and proxies, so that this side never closes a connection they are about to use. */
const KEEP_ALIVE_MS = 75_000

/** Resolves with the exit code once a signal has ended the server and all accepted requests are answered. */
async function serve(opts: ServeOptions): Promise<number> {
  const { options, mount, port, host, adapter } = opts
  const ended = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  const telemetry = mount.metrics ? await startedTelemetry() : undefined
  const server = await createModelServer({ ...options, telemetry })
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
