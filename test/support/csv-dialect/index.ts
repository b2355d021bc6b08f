/** A small dialect for the test that shows what one costs: rows in, rows out, for models with one input. */

import type { Dialect, Operation, Route } from '../../../src/core/dialects/index.ts'
import { type CsvOptions, OPTIONS } from './options.ts'
import { decodeRows, type Rows } from './rows.ts'

const ROWS = { name: 'csv/rows', decode: decodeRows } as const

const operation = (separator: string): Operation<Rows> => ({
  decoder: ROWS,
  packs: false,
  read: () => ({ mediaType: 'csv' }),
  encode({ outputs }) {
    const [output] = Object.values(outputs)
    const width = output?.dims.at(-1) ?? 1
    const cells = Array.from(output?.data ?? [], String)
    const lines = Array.from({ length: cells.length / width }, (_, row) => cells.slice(row * width, (row + 1) * width))
    const text = lines.map((line) => `${line.join(separator)}\n`).join('')
    return { status: 200, headers: { 'content-type': 'text/csv' }, body: new TextEncoder().encode(text) }
  },
})

export const csv: Dialect<'csv', CsvOptions> = {
  name: 'csv',
  roots: ['/csv/models', '/csv/models/*'],
  options: OPTIONS,
  contradictions: ({ csv }, isMounted) => (csv && !isMounted ? ["csv needs 'csv' among the dialects"] : []),
  decoders: [ROWS],
  routes(backend, { options, show, infer }): readonly Route[] {
    if (!show.includes('inference')) return []
    const run = infer(operation(options.csv?.separator ?? ','))
    const names = (): string => backend.modelNames().join('\n')
    return [
      { method: 'POST', path: /^\/csv\/models\/(?<model>[^/]+)$/, action: 'infer', handle: run, runsModel: true },
      {
        method: 'GET',
        path: '/csv/models',
        action: 'list',
        handle: () => ({ status: 200, headers: { 'content-type': 'text/csv' }, body: new TextEncoder().encode(names()) }),
      },
    ]
  },
  encodeError: ({ message }) => new TextEncoder().encode(JSON.stringify({ problem: message })),
  openapi: {
    schemas: { CsvError: { type: 'object', properties: { problem: { type: 'string' } } } },
    paths: (models) =>
      Object.fromEntries(models.map(({ name }) => [`/csv/models/${name}`, { post: { operationId: `csv_${name}` } }])),
  },
}
