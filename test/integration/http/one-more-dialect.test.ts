/** The cost of a dialect: its folder, and a line in the list. All else follows from the list, which has one more here. */

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { MountOptions } from 'modelmount'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createModelServer } from '../../../src/core/server.ts'
import { identityModel } from '../../../tools/models.mjs'
import { callerOf } from '../../support/mount.ts'

vi.mock('../../../src/core/dialects/index.ts', async (original) => {
  const { csv } = await import('../../support/csv-dialect/index.ts')
  const given = await original<typeof import('../../../src/core/dialects/index.ts')>()
  return { ...given, DIALECTS: [...given.DIALECTS, csv] }
})

/** The server is that of src/, where no built scripts are. */
vi.mock('../../../src/core/host/scripts.ts', async (original) => {
  const scriptPath = (script: string): string => fileURLToPath(new URL(`../../../dist/workers/${script}.cjs`, import.meta.url))
  const requireFromScripts = () => createRequire(scriptPath('worker'))
  return { ...(await original<object>()), scriptPath, requireFromScripts }
})

/** The generated types have three dialects. */
const options = (given: object): MountOptions => given as MountOptions

let server: Awaited<ReturnType<typeof createModelServer>>
beforeAll(async () => {
  server = await createModelServer({ logger: false, models: [{ name: 'floats', source: identityModel('float', ['N', 2]) }] })
})
afterAll(() => server.close())

test('routes, and errors in its shape', async () => {
  const mount = server.http.mount(options({ dialects: ['csv'] }))
  const { get, post } = callerOf(mount)
  expect(await get('/csv/models')).toMatchObject({ status: 200, text: 'floats' })
  const answer = await post('/csv/models/floats', '1,2\n3.5,4\n')
  expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'text/csv' }, text: '1,2\n3.5,4\n' })
  expect(await post('/csv/models/floats', '1,2,3\n')).toMatchObject({
    status: 400,
    json: { problem: expect.stringContaining('input "x"') },
  })
  expect(await get('/csv/models/floats')).toMatchObject({ status: 405, json: { problem: 'this route takes POST, OPTIONS' } })
  expect(await post('/csv/models/other', '1')).toMatchObject({ status: 404, json: { problem: expect.any(String) } })
  expect(['/csv/models', '/csv/models/a/b', '/csv', '/v2'].map(mount.owns)).toEqual([true, true, false, false])
  expect(mount.runsModel('POST', '/csv/models/floats')).toBe(true)
  expect(mount.runsModel('GET', '/csv/models')).toBe(false)
  // Errors elsewhere have the shape of the first dialect.
  expect((await get('/elsewhere')).json).toMatchObject({ code: 'ROUTE_NOT_FOUND' })
})

test('beside the others, and not on a mount that does not name it', async () => {
  const both = callerOf(server.http.mount(options({ dialects: ['open-inference', 'csv'] })))
  for (const path of ['/v2', '/csv/models']) expect([path, (await both.get(path)).status]).toEqual([path, 200])
  expect((await callerOf(server.http).get('/csv/models')).status).toBe(404)
})

test('an option of its own, with its check and its contradiction', async () => {
  const { post } = callerOf(server.http.mount(options({ dialects: ['csv'], csv: { separator: ';' } })))
  expect((await post('/csv/models/floats', '1,2')).text).toBe('1;2\n')
  const problemsOf = (given: object): unknown => {
    try {
      return server.http.mount(options(given))
    } catch (error) {
      return (error as { readonly details: { readonly problems: unknown } }).details.problems
    }
  }
  expect(problemsOf({ csv: { separator: '.' } })).toEqual(["csv.separator must be one of ',', ';', got \".\""])
  expect(problemsOf({ csv: { separator: ';' } })).toEqual(["csv needs 'csv' among the dialects"])
  expect(problemsOf({ dialects: ['cvs'] })).toEqual([
    "dialects[0] must be one of 'open-inference', 'tf-serving', 'mlflow', 'csv', got \"cvs\"",
  ])
})

test('its part of the OpenAPI document', () => {
  const { paths, components } = server.openapi(options({ dialects: ['csv'] }))
  expect(Object.keys(paths)).toEqual(['/csv/models/floats'])
  expect(components.schemas).toHaveProperty('CsvError')
  expect(Object.keys(server.openapi().paths)).not.toContain('/csv/models/floats')
})

test('the command, the decoding thread, and the generated names', async () => {
  const { DECLARED_USAGE, mountOptionsFrom } = await import('../../../src/cli/flags.ts')
  expect(DECLARED_USAGE.replace(/\s+/g, ' ')).toContain('separated by commas: open-inference, tf-serving, mlflow, csv')
  expect(mountOptionsFrom({ dialects: 'csv' })).toEqual({ dialects: ['csv'] })
  const { DIALECTS, decodersOf } = await import('../../../src/core/dialects/index.ts')
  expect([...decodersOf(DIALECTS).keys()]).toEqual(['infer', 'generate', 'tfPredict', 'invocation', 'csv/rows'])
  const { dialectNames } = await import('../../../tools/dialect-names.ts')
  const names = dialectNames(DIALECTS)
  expect(names).toContain("export type HttpDialect = 'open-inference' | 'tf-serving' | 'mlflow' | 'csv'")
  expect(names).toContain("import type { CsvOptions } from './csv/options.ts'")
  expect(names).toContain("  csv: ['/csv/models', '/csv/models/*'],")
})
