/** Injection tokens and their values. */

import { Inject } from '@nestjs/common'
import type { ModelInfo } from '../../core/model/types.ts'
import type { PredictInputs, PredictOptions, PredictResult } from '../../core/predict/types.ts'
import type { ModelServer } from '../../core/server/types.ts'

/** One model of a server, for `@InjectModel('fraud')`. */
export interface ModelHandle {
  readonly name: string
  /** As `server.predict(name, …)`. */
  predict(inputs: PredictInputs, opts?: PredictOptions): Promise<PredictResult>
  /** As `server.model(name, …)`. */
  info(version?: string): ModelInfo
}

/** The token of a server, for `app.get()`, tests and factories. @param key as in `ModelServerModule.forRoot({ key })` */
export const getModelServerToken = (key = 'default'): string => `modelmount.server.${key}`

/** The token of one model of a server. */
export const getModelToken = (model: string, key = 'default'): string => `modelmount.model.${key}.${model}`

/** Injects the model server. @param key selects one of several */
export const InjectModelServer = (key?: string): ParameterDecorator & PropertyDecorator => Inject(getModelServerToken(key))

/** Models requested by `@InjectModel`, by server: decorators run before modules are put together. */
const wanted = new Map<string, Set<string>>()

/** Injects a {@link ModelHandle}. @param key selects one of several servers */
export function InjectModel(model: string, key = 'default'): ParameterDecorator & PropertyDecorator {
  const models = wanted.get(key) ?? new Set()
  wanted.set(key, models.add(model))
  return Inject(getModelToken(model, key))
}

export const wantedModels = (key = 'default'): readonly string[] => [...(wanted.get(key) ?? [])]

export function createHandle(server: ModelServer, name: string): ModelHandle {
  return {
    name,
    predict: (inputs, opts) => server.predict(name, inputs, opts),
    info: (version) => server.model(name, version),
  }
}
