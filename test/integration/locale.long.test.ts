/** Text models need a locale that slim images lack: the error says how to make it, and made like that the model loads. */

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createModelServer } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { loadError } from '../../src/core/engine/ort-errors.ts'
import { attr, node, value, writeModel } from '../../tools/onnx-writer.mjs'
import { needs } from '../support/needs.ts'
import { treeFor } from '../support/tree.ts'

/** As converters write it before a vectorizer that lowers its text. @param locale none for ONNX Runtime's own choice */
const lowering = (locale: string | undefined): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('text', 'string', ['N'])],
      outputs: [value('lower', 'string', ['N'])],
      nodes: [
        node('StringNormalizer', ['text'], ['lower'], {
          case_change_action: attr.string('LOWER'),
          ...(locale === undefined ? {} : { locale: attr.string(locale) }),
          is_case_sensitive: attr.int(0),
        }),
      ],
    },
  })

const run = (command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): string => {
  try {
    return execFileSync(command, args, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout ?? '')
  }
}

const isThere = /^en_US\.utf-?8$/im.test(run('locale', ['-a'])) || process.env.LOCPATH !== undefined
const WITHOUT = needs('a machine without the locale en_US.UTF-8', process.platform === 'linux' && !isThere)

const LOCALEDEF = needs(
  'localedef and the sources of locales',
  run('sh', ['-c', 'command -v localedef && test -f /usr/share/i18n/locales/en_US && echo yes']).includes('yes'),
)

describe('a model that needs a locale, where there is none', WITHOUT, () => {
  test.each([
    [undefined, 'en_US.UTF-8'],
    ['en_US.UTF-8', 'en_US.UTF-8'],
    ['en_US', 'en_US'],
    ['de_DE.ISO-8859-1', 'de_DE.ISO-8859-1'],
  ])('declared as %s, says how to make it', async (declared, locale) => {
    const source = lowering(declared)
    for (const isolation of ['thread', 'process'] as const) {
      const loading = createModelServer({ logger: false, strict: true, isolation, models: [{ name: 'm', source }] })
      const [language, charset = 'UTF-8'] = locale.split('.')
      await expect(loading).rejects.toMatchObject({
        code: 'MODEL_LOAD_FAILED',
        message: expect.stringContaining(`apt-get install -y locales && localedef -i ${language} -f ${charset} ${locale}. In`),
      })
    }
  })

  test.each([undefined, 'en_US.UTF-8', 'en_US'])('declared as %s, loads once that is made', LOCALEDEF, async (declared) => {
    const dir = treeFor({ 'lower.onnx': lowering(declared) })
    const locales = join(dir, 'locales')
    const name = declared ?? 'en_US.UTF-8'
    mkdirSync(locales)
    run('localedef', ['-i', 'en_US', '-f', 'UTF-8', join(locales, name)])
    const dist = pathToFileURL(fileURLToPath(new URL('../../dist/index.js', import.meta.url))).href
    const script = `
      const { createModelServer } = await import(${JSON.stringify(dist)})
      const server = await createModelServer({ logger: false, strict: true, models: [{ name: 'm', source: ${JSON.stringify(join(dir, 'lower.onnx'))} }] })
      const { outputs } = await server.predict('m', { text: ['Ab', 'CÉ'] })
      console.log(JSON.stringify(outputs.lower.data))
      await server.close()
    `
    const told = run(process.execPath, ['--input-type=module', '-e', script], { ...process.env, LOCPATH: locales })
    expect(JSON.parse(told)).toEqual(['ab', 'cé'])
  })
})

test('ONNX Runtime’s sentence is recognised with its own locale, and quoted in the cause', () => {
  const said =
    'Exception during initialization: /onnxruntime_src/onnxruntime/core/providers/cpu/nn/string_normalizer.cc:95 Failed to construct locale with name:de_DE.UTF-8:locale::facet::_S_create_c_locale name not valid:Please, install necessary language-pack-en and configure locales'
  const { code, message, cause } = loadError(said)
  expect(code).toBe('MODEL_LOAD_FAILED')
  expect(message).toContain('the model needs the locale de_DE.UTF-8')
  expect(message).toContain('localedef -i de_DE -f UTF-8 de_DE.UTF-8')
  for (const word of ['Debian', 'Ubuntu', 'slim', 'LOCPATH', 'Alpine']) expect(message).toContain(word)
  expect((cause as Error).message).toBe(said)
})
