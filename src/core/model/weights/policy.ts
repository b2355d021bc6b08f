/** Which models share their weights, and which derived forms are used. */

import { isAbsolute, normalize } from 'node:path'
import type { Verdict } from '../../engine/derived/store.ts'
import type { OnnxModelFacts } from '../../onnx/types.ts'
import type { ModelConfig } from '../../options/index.ts'

/** From here on sharing is worth a file, by itself. */
const MIN_BYTES = 16 * 2 ** 20
/** Below that nothing is written into a file of its own. */
const MIN_SHARED_BYTES = 1024
/** Speed, against a plain instance, from which sharing costs nothing. */
const MIN_SPEED = 0.95

/** Why a model is not even tried. */
export function reasonAgainst(config: ModelConfig, facts: OnnxModelFacts | undefined, weightBytes: number): string | undefined {
  const { shareWeights, providers, instances } = config
  if (shareWeights === false) return 'switched off with shareWeights: false'
  if (typeof config.source !== 'string') return 'the model was given as bytes, and only files can be mapped'
  if (!facts) return 'files in the .ort format are used as they are'
  if (providers.some(({ name }) => name !== 'cpu')) return 'only the cpu execution provider maps its weights'
  if (facts.externalData.some(leavesFolder)) return "the model's weights lie outside its folder"
  if (weightBytes < MIN_SHARED_BYTES) return 'it has no weights to share'
  if (shareWeights === true) return undefined
  if (instances.max < 2) return 'a single instance has none to share with'
  return weightBytes < MIN_BYTES ? `its weights take ${weightBytes} bytes, and sharing starts at ${MIN_BYTES}` : undefined
}

/** ONNX Runtime refuses such a model; nothing should be read for it before that. */
const leavesFolder = (location: string): boolean => isAbsolute(location) || /^\.\.($|[\\/])/.test(normalize(location))

/** Why a form that was made is not used. */
export function objection({ shareWeights }: ModelConfig, { same, speed }: Verdict): string | undefined {
  if (!same) return 'with shared weights the model gives other answers'
  if (shareWeights !== true && speed < MIN_SPEED)
    return `with shared weights a run has ${speed.toFixed(2)} of a plain instance's speed; shareWeights: true takes that for the memory`
  return undefined
}
