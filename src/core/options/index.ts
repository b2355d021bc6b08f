/** The options of a server and of its models, checked and decided. Rooms declare theirs with `kinds.ts`. */

export { checkLoadOptions } from '../model/options.ts'
export { checkPredictOptions } from '../predict/options.ts'
export { checkVersionLabel } from '../registry/options.ts'
export { contradictions } from './contradictions.ts'
export { layered } from './layers.ts'
export {
  MODEL_FILE_SETTINGS,
  MODEL_SETTINGS,
  type ModelConfig,
  type ModelSettings,
  type ModelSpec,
  modelConfig,
  modelSpec,
  OF_ONE_MODEL,
} from './model.ts'
export { resolveOptions, resolveSpec, SERVER_OPTIONS, type ServerConfig } from './server.ts'
