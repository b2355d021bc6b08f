/** Asks a server in this process with bodies from files, as hostile-bodies.ts makes them; prints how many were answered. Run with a small heap. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createModelServer } from 'modelmount'
import { type Datatype, MODELS, MOUNT, nameOf } from './hostile-bodies.ts'

interface Entry {
  readonly what: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly file: string
}

const dir = process.argv[2] ?? ''
const entries = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8')) as readonly Entry[]
const models = (Object.keys(MODELS) as Datatype[]).map((datatype) => ({ name: nameOf(datatype), source: MODELS[datatype] }))
const server = await createModelServer({ logger: false, strict: true, models, batching: false })
const mount = server.http.mount(MOUNT)
for (const { what, path, headers, file } of entries) {
  const body = readFileSync(join(dir, file))
  const { status } = await mount.handle({ method: 'POST', path, body, headers, acceptsChunks: true })
  if (status >= 500) throw new Error(`${what} was answered ${status}`)
}
await server.close()
console.log(entries.length)
