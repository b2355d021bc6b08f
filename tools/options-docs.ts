/**
 * Makes `model.schema.json` and `docs/reference/options.md`. Checks, types and defaults come from
 * the declarations, sentences from the JSDoc of the interfaces, where editors read them.
 */

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { MOUNT_OPTIONS } from '../src/core/http/options.ts'
import { LOAD_OPTIONS } from '../src/core/model/options.ts'
import { OPENAPI_OPTIONS } from '../src/core/openapi/options.ts'
import type { AnyKind, Fields, JsonSchema } from '../src/core/options/kinds.ts'
import { MODEL_SETTINGS, MODEL_SPEC } from '../src/core/options/model.ts'
import { SERVER_OPTIONS } from '../src/core/options/server.ts'
import { PREDICT_OPTIONS } from '../src/core/predict/options.ts'
import { modelFile } from '../src/core/registry/model-json.ts'

const CORE = join(dirname(fileURLToPath(import.meta.url)), '../src/core')

/** One option as the reference shows it. */
export interface Described {
  readonly path: string
  readonly kind: AnyKind
  readonly sentence: string
  /** The text of `@default`. */
  readonly standard: string | undefined
}

interface Docs {
  /** The interface of a file. */
  typeOf(file: string, name: string): ts.Type
  /** @throws Error for an option without a sentence or a `@default` */
  describe(fields: Fields, type: ts.Type, path?: string): Generator<Described>
  schemaOf(kind: AnyKind, type: ts.Type | undefined): JsonSchema
}

export function readDocs(): Docs {
  const files = ['options/server.ts', 'predict/options.ts', 'openapi/options.ts', 'registry/model-json.ts', 'model/options.ts']
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    types: ['node'],
  }
  const program = ts.createProgram(
    files.map((file) => join(CORE, file)),
    options,
  )
  const checker = program.getTypeChecker()

  function typeOf(file: string, name: string): ts.Type {
    const source = program.getSourceFile(join(CORE, file))
    const found = source?.statements.find(
      (statement): statement is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(statement) && statement.name.text === name,
    )
    if (!found) throw new Error(`${file} has no interface ${name}`)
    return checker.getTypeAtLocation(found)
  }

  /** The member of a union that a kind declares. */
  function memberFor({ form }: AnyKind, type: ts.Type | undefined): ts.Type | undefined {
    const members = type?.isUnion() ? type.types : type ? [type] : []
    if (form.is === 'object')
      return members.find((member) => Object.keys(form.fields).every((key) => checker.getPropertyOfType(member, key)))
    if (form.is === 'list') return members.find((member) => checker.isArrayType(member))
    if (form.is === 'map') return members.find((member) => checker.getIndexTypeOfType(member, ts.IndexKind.String))
    return type
  }

  const elementOf = (kind: AnyKind, type: ts.Type | undefined): ts.Type | undefined => {
    const member = memberFor(kind, type)
    return member && checker.getIndexTypeOfType(member, kind.form.is === 'list' ? ts.IndexKind.Number : ts.IndexKind.String)
  }

  const symbolOf = (type: ts.Type | undefined, key: string): ts.Symbol | undefined => type && checker.getPropertyOfType(type, key)
  const typeOfSymbol = (symbol: ts.Symbol | undefined): ts.Type | undefined =>
    symbol && checker.getNonNullableType(checker.getTypeOfSymbol(symbol))

  const sentenceOf = (symbol: ts.Symbol | undefined): string =>
    plain(ts.displayPartsToString(symbol?.getDocumentationComment(checker)))
  const standardOf = (symbol: ts.Symbol | undefined): string | undefined => {
    const tag = symbol?.getJsDocTags(checker).find(({ name }) => name === 'default')
    return tag && plain(ts.displayPartsToString(tag.text))
  }

  function* describe(fields: Fields, type: ts.Type, path = ''): Generator<Described> {
    for (const [key, kind] of Object.entries(fields)) {
      const symbol = symbolOf(type, key)
      const at = path === '' ? key : `${path}.${key}`
      const sentence = sentenceOf(symbol)
      const standard = standardOf(symbol)
      if (sentence === '') throw new Error(`${at} has no sentence`)
      if (standard === undefined && !kind.isRequired) throw new Error(`${at} has no @default`)
      yield { path: at, kind, sentence, standard }
      yield* inside(kind, typeOfSymbol(symbol), at)
    }
  }

  function* inside(kind: AnyKind, type: ts.Type | undefined, path: string): Generator<Described> {
    const { form } = kind
    const member = memberFor(kind, type)
    if (form.is === 'object' && member && isDocumented(member)) yield* describe(form.fields, member, path)
    else if (form.is === 'list') yield* inside(form.item, elementOf(kind, type), `${path}[]`)
    else if (form.is === 'map') yield* inside(form.item, elementOf(kind, type), `${path}.<name>`)
    else if (form.is === 'either') for (const each of form.of) yield* inside(each, type, path)
  }

  /** Objects of two plain members, such as `{ min, max }`, need no sentences; the models of the server have a table of their own. */
  const isDocumented = (type: ts.Type): boolean =>
    checker.getPropertiesOfType(type).some((property) => sentenceOf(property) !== '') &&
    !checker.getPropertyOfType(type, 'source')

  function schemaOf(kind: AnyKind, type: ts.Type | undefined): JsonSchema {
    const { form, keywords } = kind
    switch (form.is) {
      case 'value':
        if (!form.json) throw new Error(`JSON cannot hold ${kind.says}`)
        return { ...form.json, ...keywords }
      case 'list':
        return { type: 'array', items: schemaOf(form.item, elementOf(kind, type)), ...form.json, ...keywords }
      case 'map':
        return {
          type: 'object',
          ...(form.names ? { propertyNames: schemaOf(form.names, undefined) } : {}),
          additionalProperties: schemaOf(form.item, elementOf(kind, type)),
          ...keywords,
        }
      case 'either':
        return { oneOf: form.of.map((each) => schemaOf(each, type)), ...keywords }
      case 'object': {
        const member = memberFor(kind, type)
        const required = Object.entries(form.fields).flatMap(([key, { isRequired }]) => (isRequired ? [key] : []))
        const properties = Object.entries(form.fields).map(([key, field]) => [key, propertyOf(field, symbolOf(member, key))])
        return {
          type: 'object',
          properties: Object.fromEntries(properties),
          additionalProperties: false,
          ...(required.length > 0 ? { required } : {}),
          ...keywords,
        }
      }
    }
  }

  function propertyOf(kind: AnyKind, symbol: ts.Symbol | undefined): JsonSchema {
    const sentence = sentenceOf(symbol)
    return {
      ...(sentence === '' ? {} : { description: sentence }),
      ...(kind.fallback === undefined ? {} : { default: kind.fallback }),
      ...schemaOf(kind, typeOfSymbol(symbol)),
    }
  }

  return { typeOf, describe, schemaOf }
}

const plain = (text: string): string =>
  text
    .replace(/\{@link ([^}]+?)\s*\}/g, '`$1`')
    .replace(/\s+/g, ' ')
    .trim()

/** The content of `model.schema.json`. */
export function modelSchema(docs: Docs): string {
  const { type, ...rest } = docs.schemaOf(modelFile, docs.typeOf('registry/model-json.ts', 'ModelFile'))
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'modelmount model.json',
    description: 'Settings of one model, in its directory of a model repository.',
    type,
    ...rest,
  }
  return `${JSON.stringify(schema, undefined, 2)}\n`
}

const without = (fields: Fields, ...gone: readonly Fields[]): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([key]) => !gone.some((other) => Object.hasOwn(other, key))))

interface Section {
  readonly title: string
  readonly about: string
  readonly fields: Fields
  readonly file: string
  readonly type: string
}

const SECTIONS: readonly Section[] = [
  {
    title: 'Models',
    about: 'Given to `createModelServer()` they hold for all models. A model, `load()` and `model.json` may set them, too.',
    fields: MODEL_SETTINGS,
    file: 'options/model.ts',
    type: 'ModelSpec',
  },
  {
    title: 'One model',
    about: 'Of a spec in `models`, or of `load()`. `model.json` has all of them but `name`, `version`, `source` and `signature`.',
    fields: without(MODEL_SPEC, MODEL_SETTINGS),
    file: 'options/model.ts',
    type: 'ModelSpec',
  },
  {
    title: 'Server',
    about: 'Given to `createModelServer()`.',
    fields: SERVER_OPTIONS,
    file: 'options/server.ts',
    type: 'ModelServerOptions',
  },
  {
    title: 'Mounts',
    about: 'Given to an adapter or to `server.http.mount()`.',
    fields: MOUNT_OPTIONS,
    file: 'openapi/options.ts',
    type: 'OpenApiOptions',
  },
  {
    title: '`openapi()`',
    about: 'The options of a mount, and:',
    fields: without(OPENAPI_OPTIONS, MOUNT_OPTIONS),
    file: 'openapi/options.ts',
    type: 'OpenApiOptions',
  },
  {
    title: '`predict()`',
    about: 'The third argument.',
    fields: PREDICT_OPTIONS,
    file: 'predict/options.ts',
    type: 'PredictOptions',
  },
  { title: '`load()`', about: 'The second argument.', fields: LOAD_OPTIONS, file: 'model/options.ts', type: 'LoadOptions' },
]

/** All options, by section. */
export const describedOptions = (docs: Docs): readonly (Section & { readonly options: readonly Described[] })[] =>
  SECTIONS.map((section) => ({
    ...section,
    options: [...docs.describe(section.fields, docs.typeOf(section.file, section.type))],
  }))

const cell = (text: string): string => text.replaceAll('|', '\\|')

const POWERS: Readonly<Record<string, string>> = {
  9007199254740991: '2^53 - 1',
  1099511627776: '2^40',
  4294967295: '2^32 - 1',
  2147483647: '2^31 - 1',
  536870911: '2^29 - 1',
}

/** In a few words, without the article. */
function typeText({ says, form }: AnyKind): string {
  if (form.is === 'list') return `array of ${typeText(form.item)}`
  if (form.is === 'either') return form.of.map(typeText).join(', or ')
  if (form.is === 'map') return `object of name: ${typeText(form.item)}`
  return says.replace(/^(?:an?|the) /, '').replace(/\d{9,}/g, (digits) => POWERS[digits] ?? digits)
}

const standardText = ({ kind, standard }: Described): string => (kind.isRequired ? 'required' : (standard ?? ''))

/** The content of `docs/reference/options.md`. */
export function optionsReference(docs: Docs): string {
  const sections = describedOptions(docs).map(({ title, about, options }) =>
    [
      `## ${title}`,
      about,
      [
        '| option | type | default | |',
        '|---|---|---|---|',
        ...options.map(
          (option) =>
            `| \`${option.path}\` | ${cell(typeText(option.kind))} | ${cell(standardText(option))} | ${cell(option.sentence)} |`,
        ),
      ].join('\n'),
    ].join('\n\n'),
  )
  return `${[
    '# Options',
    '<!-- Generated by `npm run generate` from the declarations in src/core. -->',
    'Every option, with its type and default. [Options](../options.md) tells how they are layered and checked.',
    ...sections,
  ].join('\n\n')}\n`
}
