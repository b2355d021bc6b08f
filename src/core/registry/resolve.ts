/** The settings of a model that was found in a repository. */

import { ModelmountError } from '../errors.ts'
import { contradictions, layered, type ModelConfig, type ModelSettings, modelConfig, modelSpec } from '../options/index.ts'
import { faults } from '../options/refuse.ts'
import type { FoundModel } from './found.ts'

/**
 * Settings in code hold for all models: a model's own files are laid under them. Never throws: a fault of one model must not keep the others
 * from being served.
 */
export function resolveFound(found: FoundModel, shared: ModelSettings): ModelConfig {
  const { name, version, source, config } = found
  const base = { name, version, source }
  if (config.fault) return modelConfig(base, shared, config)
  const model = { ...layered(config.settings, shared), ...base }
  const wrong = faults(modelSpec, model, '')
  const problems = wrong.length > 0 ? wrong : contradictions(model, {})
  if (problems.length === 0) return modelConfig(model, {}, config)
  const fault = new ModelmountError('CONFIG_INVALID', `the model's files ask for what cannot be: ${problems.join('; ')}`, {
    details: { problems },
  })
  return modelConfig(base, shared, { ...config, fault })
}
