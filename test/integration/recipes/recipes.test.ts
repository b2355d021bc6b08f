/** The extensions of docs/architecture.md: the files beside this one are its text, so that they compile, and they do what the page says. */

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { addModel } from '../../../tools/models.mjs'
import { ADD } from '../../adapters/requests.ts'
import { callerOf } from '../../support/mount.ts'
import { serverFor } from '../../support/server.ts'
import { doubling } from './doubling.ts'
import { watch } from './watch.ts'

const textOf = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

test('are the text of the page, and use nothing but the public subpath', () => {
  const page = textOf('../../../docs/architecture.md')
  for (const name of ['watch', 'doubling']) {
    const text = textOf(`./${name}.ts`)
    expect(page).toContain(`\`\`\`ts\n${text}\`\`\``)
    expect([...text.matchAll(/from '([^']+)'/g)].map(([, from]) => from)).toEqual(['modelmount/extension'])
  }
})

test('one sees every prediction, refusals and kept results included', async () => {
  const lines: string[] = []
  const server = await serverFor({
    models: { add: addModel() },
    cache: { maxBytes: 1e6 },
    extensions: [watch((line) => void lines.push(line.replace(/[\d.]+ ms$/, '# ms')))],
  })
  const { post } = callerOf(server.http.mount())
  for (let i = 0; i < 2; i++) expect((await post('/v2/models/add/infer', ADD)).status).toBe(200)
  expect((await post('/v2/models/add/infer', '{')).status).toBe(400)
  await server.predict('nothing', {}).catch(() => {})
  expect(lines).toEqual([
    expect.stringMatching(/^add@1 run \d+, # ms$/),
    'add@1 kept, # ms',
    'add REQUEST_INVALID',
    'nothing MODEL_NOT_FOUND',
  ])
})

test('one answers by itself, on every way in', async () => {
  const server = await serverFor({ models: [], extensions: [doubling()] })
  const { outputs } = await server.predict('doubling', { x: Float32Array.of(1, 2) })
  expect([...(outputs.y?.data ?? [])]).toEqual([2, 4])
  const { get, post } = callerOf(server.http.mount())
  const body = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [4] }] }
  expect((await post('/v2/models/doubling/infer', body)).json).toMatchObject({ outputs: [{ name: 'y', data: [8] }] })
  expect((await get('/v2/models')).json).toEqual({ models: ['doubling'] })
})
