/** Models as a repository holds them: the files of one version, and the settings in the files beside them. */

import type { ModelmountError } from '../errors.ts'
import type { ModelInfo, ModelSpec } from '../model/types.ts'
import type { DType } from '../tensor/types.ts'
import type { ConfigNote, VersionPolicy } from './types.ts'

/** Settings of one model, from one place. */
export type SettingsLayer = Omit<ModelSpec, 'name' | 'version' | 'source'>

/** Settings that a model's own file decides. */
export interface FileConfig {
  readonly settings: SettingsLayer
  readonly versionPolicy?: VersionPolicy
  /** Name of the model file in the version directories. */
  readonly file?: string
  /** Text files with a label per line, by output. */
  readonly labelFiles?: Readonly<Record<string, string>>
  readonly warmup?: readonly WarmupSample[]
}

/** Runs before the model is ready; their data is not made yet. */
export interface WarmupSample {
  readonly name: string
  readonly repeats: number
  readonly inputs: Readonly<Record<string, WarmupInput>>
}

export interface WarmupInput {
  readonly type: DType
  readonly dims: readonly number[]
  readonly fill: 'zero' | 'random' | { readonly file: string }
}

export interface DirectoryConfig {
  readonly settings: SettingsLayer
  readonly versionPolicy: VersionPolicy | undefined
  /** Name of the model file in the version directories, unless it is the usual one. */
  readonly file: string | undefined
  readonly tritonConfig: ModelInfo['tritonConfig']
  readonly configNotes: readonly ConfigNote[]
  /** Why the model cannot be served as its files demand. */
  readonly fault: ModelmountError | undefined
}

/** A model version found on disk; `source` may turn out not to be loadable. */
export interface FoundModel {
  readonly name: string
  readonly version: string
  readonly source: string
  readonly config: DirectoryConfig
}
