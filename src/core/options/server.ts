/** The options of a server, put together from the rooms that own them. */

import { CRYPTO_OPTIONS, type CryptoOptions } from '../crypto/options.ts'
import { HOST_OPTIONS, type HostOptions, loggerOf } from '../host/options.ts'
import { BODY_OPTIONS, type BodyOptions, bodyConfig, bodyContradictions } from '../http/options.ts'
import { gateConfig, INTEGRITY_OPTIONS, type IntegrityOptions, integrityContradictions } from '../integrity/options.ts'
import { IDENTITY, type ModelSource } from '../model/options.ts'
import { SCAN_OPTIONS, type ScanOptions } from '../onnx/options.ts'
import { EXTENSION_OPTIONS, type ExtensionOptions, extensionContradictions } from '../predict/extensions.ts'
import { REPOSITORY_OPTIONS, type RepositoryOptions } from '../registry/options.ts'
import { contradictions, listContradictions } from './contradictions.ts'
import { boolean, type Declared, decided, either, isPlainObject, list, map, name, object, picked } from './kinds.ts'
import {
  MODEL_SETTINGS,
  type ModelSettings,
  type ModelSpec,
  modelConfig,
  modelSpec,
  type UnnamedModelSpec,
  unnamedSpec,
} from './model.ts'
import { ensure, refuse } from './refuse.ts'

/** Models by name: where each comes from, or its spec without the name. */
export type ModelsByName = Readonly<Record<string, ModelSource | UnnamedModelSpec>>

/** Options of `createModelServer()`. */
export interface ModelServerOptions
  extends ModelSettings,
    RepositoryOptions,
    IntegrityOptions,
    ScanOptions,
    CryptoOptions,
    BodyOptions,
    HostOptions,
    ExtensionOptions {
  /** Models to load: a list of specs, or by name the path (`{ fraud: './fraud.onnx' }`) or the spec of each. @default none */
  readonly models?: readonly ModelSpec[] | ModelsByName
  /** Reject `createModelServer()` when a model fails to load, instead of reporting it as not ready. @default false */
  readonly strict?: boolean
  /** Name in the server metadata. @default 'modelmount' */
  readonly name?: string
}

export const SERVER_OPTIONS = {
  models: either(list(modelSpec), map(either(IDENTITY.source, unnamedSpec), name)),
  ...REPOSITORY_OPTIONS,
  strict: boolean.default(false).asFlag({ says: 'exit with 1 when a model fails to load' }),
  name: name.default('modelmount'),
  ...INTEGRITY_OPTIONS,
  ...SCAN_OPTIONS,
  ...CRYPTO_OPTIONS,
  ...BODY_OPTIONS,
  ...HOST_OPTIONS,
  ...EXTENSION_OPTIONS,
} satisfies Declared<Omit<ModelServerOptions, keyof ModelSettings>>

const serverOptions = object<ModelServerOptions>({ ...MODEL_SETTINGS, ...SERVER_OPTIONS })

export type ServerConfig = ReturnType<typeof resolveOptions>

/**
 * Checks the options of `createModelServer()`.
 * @throws ModelmountError `OPTIONS_INVALID` with `details.problems`
 */
export function resolveOptions(options: ModelServerOptions) {
  ensure(serverOptions, options, '')
  const set = decided(SERVER_OPTIONS, options)
  const models = listed(options.models)
  const settings: ModelSettings = picked(MODEL_SETTINGS, options)
  refuse([
    ...integrityContradictions(options),
    ...bodyContradictions(options),
    ...extensionContradictions(options),
    ...contradictions(settings, {}),
    ...models.flatMap(({ at, spec }) => contradictions(spec, settings).map((problem) => `${at}.${problem}`)),
    ...listContradictions(models),
    ...(options.models === undefined && set.repository === undefined
      ? ['models or repository must be given (models: [] for a server that loads later)']
      : []),
  ])
  return Object.freeze({
    name: set.name,
    models: models.map(({ spec }) => modelConfig(spec, settings)),
    repository: set.repository,
    /** Of all models of the repository; `undefined` for the choice of each model's files, or all. */
    versionPolicy: set.versionPolicy,
    strict: set.strict,
    /** Bytes for the instances of all models; `undefined` for no bound. */
    memoryBudgetBytes: set.memory?.budgetBytes,
    ...bodyConfig(options),
    cacheDirectory: set.cacheDirectory,
    integrity: gateConfig(options),
    scan: set.scan === 'on',
    encryption: set.encryption,
    logger: loggerOf(set.logger),
    telemetry: set.telemetry,
    extensions: set.extensions ?? [],
    /** For models that come without their own: repository models and later `load()` calls. */
    settings,
  })
}

/** Each with the path of its spec. */
const listed = (models: ModelServerOptions['models'] = []): { readonly at: string; readonly spec: ModelSpec }[] =>
  isList(models)
    ? models.map((spec, index) => ({ at: `models[${index}]`, spec }))
    : Object.entries(models).map(([name, model]) => ({
        at: `models.${name}`,
        spec: isSource(model) ? { name, source: model } : { ...model, name },
      }))

const isList = (models: readonly ModelSpec[] | ModelsByName): models is readonly ModelSpec[] => Array.isArray(models)
const isSource = (model: ModelSource | UnnamedModelSpec): model is ModelSource => !isPlainObject(model)

/** The same for one model spec, with the server's settings below it. */
export function resolveSpec(model: ModelSpec, shared: ModelSettings) {
  ensure(modelSpec, model, 'spec')
  refuse(contradictions(model, shared).map((problem) => `spec.${problem}`))
  return modelConfig(model, shared)
}
