/** Labels of versions: declared by the settings of models, and moved by calls. */

import { checkVersionLabel, type ModelConfig } from '../options/index.ts'
import type { Served } from '../predict/served.ts'
import type { Registry } from '../registry/registry.ts'

export interface Labels {
  /**
   * Points a label at a version, or takes it away.
   * @throws ModelmountError `OPTIONS_INVALID`, `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `MODEL_NOT_READY`
   */
  set(name: string, label: string, version: string | undefined): void
  /**
   * A new label points at its version at once; until that is ready, its callers get `MODEL_NOT_READY`.
   * @returns takes back the labels that were new
   */
  declare(config: ModelConfig): () => void
  /** A label in use waits for the version that it moves to. */
  move(config: ModelConfig): void
}

export function createLabels(registry: Registry<Served>): Labels {
  const declare: Labels['declare'] = ({ name, versionLabels }) => {
    const declared = [...versionLabels].filter(([label]) => !registry.labels(name).has(label))
    for (const [label, version] of declared) registry.setLabel(name, label, version)
    return () => {
      for (const [label, version] of declared)
        if (registry.labels(name).get(label) === version) registry.setLabel(name, label, undefined)
    }
  }

  return {
    set(name, label, version) {
      checkVersionLabel(label, version)
      if (version === undefined) registry.select(name)
      // Throws for one that is not ready.
      else registry.resolve(name, version)
      registry.setLabel(name, label, version)
    },
    declare,
    move({ name, version, versionLabels }) {
      for (const [label, target] of versionLabels) if (target === version) registry.setLabel(name, label, version)
    },
  }
}
