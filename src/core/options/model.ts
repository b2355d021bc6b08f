/** The settings of one model version, put together from the rooms that own them. */

import { FILE_CACHE, RESULT_OPTIONS, type ResultOptions, resultConfig } from '../cache/options.ts'
import type { JsonValue } from '../dialects/types.ts'
import { ENGINE_OPTIONS, type EngineOptions, engineConfig } from '../engine/options.ts'
import type { ModelmountError } from '../errors.ts'
import { SIGNATURE_OPTIONS, type SignatureOptions } from '../integrity/options.ts'
import {
  FILE_OPTIONS,
  type FileOptions,
  fileConfig,
  IDENTITY,
  type ModelIdentity,
  OWN_OPTIONS,
  type OwnOptions,
  ownConfig,
  sourceOf,
} from '../model/options.ts'
import { LABEL_OPTIONS, type LabelOptions } from '../registry/options.ts'
import type { ConfigNote } from '../registry/types.ts'
import { SCHEDULER_OPTIONS, type SchedulerOptions, schedulerConfig } from '../scheduler/options.ts'
import { STATE_OPTIONS, type StateOptions, sequenceSettings } from '../sequences/options.ts'
import { TRIAL_OPTIONS, type TrialOptions, trialConfig } from '../trial/options.ts'
import { defined } from './defined.ts'
import { type Declared, object } from './kinds.ts'

/** Settings that a model spec and the whole server share; the spec wins. */
export interface ModelSettings extends EngineOptions, FileOptions, TrialOptions, SchedulerOptions, ResultOptions {}

/** One model version to serve, without its name. */
export interface UnnamedModelSpec
  extends Omit<ModelIdentity, 'name'>,
    ModelSettings,
    SignatureOptions,
    OwnOptions,
    StateOptions,
    LabelOptions {}

/** One model version to serve. */
export interface ModelSpec extends UnnamedModelSpec, ModelIdentity {}

export const MODEL_SETTINGS = {
  ...ENGINE_OPTIONS,
  ...FILE_OPTIONS,
  ...TRIAL_OPTIONS,
  ...SCHEDULER_OPTIONS,
  ...RESULT_OPTIONS,
} satisfies Declared<ModelSettings>

// A model's own folder does not decide whether the model is tried out first.
const { trialRun: _, ...OWN_SETTINGS } = MODEL_SETTINGS

/** Settings that `model.json` may have: all that JSON can hold, but for the protection of the server from the model. */
export const MODEL_FILE_SETTINGS = { ...OWN_SETTINGS, cache: FILE_CACHE }

/** Settings that only a model by itself has. */
export const OF_ONE_MODEL = { ...OWN_OPTIONS, ...STATE_OPTIONS, ...LABEL_OPTIONS }

const { name, ...UNNAMED_IDENTITY } = IDENTITY

const UNNAMED_SPEC = {
  ...UNNAMED_IDENTITY,
  ...MODEL_SETTINGS,
  ...OF_ONE_MODEL,
  ...SIGNATURE_OPTIONS,
} satisfies Declared<UnnamedModelSpec>

export const MODEL_SPEC = { name, ...UNNAMED_SPEC } satisfies Declared<ModelSpec>

export const unnamedSpec = object<UnnamedModelSpec>(UNNAMED_SPEC)
export const modelSpec = object<ModelSpec>(MODEL_SPEC)

/** Facts that a repository knows of a model beside its settings. */
export interface FoundFacts {
  /** The model's `config.pbtxt`, where it has one. */
  readonly tritonConfig?: { readonly [field: string]: JsonValue } | undefined
  readonly configNotes?: readonly ConfigNote[]
  /** Why the model cannot be served, found before its file was read. */
  readonly fault?: ModelmountError | undefined
}

/** A model version with every setting decided. */
export type ModelConfig = Readonly<ReturnType<typeof modelConfig>>

/** @param shared settings below those of the model */
export function modelConfig(spec: ModelSpec, shared: ModelSettings, found: FoundFacts = {}) {
  const set: ModelSettings = { ...defined(shared), ...defined(spec), session: { ...shared.session, ...spec.session } }
  const engine = engineConfig(set)
  return Object.freeze({
    name: spec.name,
    version: spec.version ?? IDENTITY.version.fallback,
    /** An absolute path, or the bytes of the file. */
    source: sourceOf(spec.source),
    signature: spec.signature,
    ...engine,
    ...fileConfig(set, engine),
    ...trialConfig(set, engine.isolation),
    ...schedulerConfig(set),
    ...ownConfig(spec),
    sequences: spec.sequences && sequenceSettings(spec.sequences),
    // The same inputs mean something else in another state.
    cache: spec.sequences ? (false as const) : resultConfig(set).cache,
    /** Of all versions of the name, with the versions they point at. */
    versionLabels: new Map(Object.entries(spec.versionLabels ?? {})) as ReadonlyMap<string, string>,
    tritonConfig: found.tritonConfig,
    configNotes: found.configNotes ?? [],
    fault: found.fault,
  })
}
