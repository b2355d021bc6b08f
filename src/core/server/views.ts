/** Lists, health and the OpenAPI document of a server. */

import type { MountConfig } from '../http/index.ts'
import type { ModelInfo } from '../model/types.ts'
import { describeServer, resolveOpenApi } from '../openapi/index.ts'
import type { OpenApiDocument, OpenApiOptions } from '../openapi/types.ts'
import type { Served } from '../predict/served.ts'
import type { Registry } from '../registry/registry.ts'
import { VERSION } from '../version.ts'
import type { ServerHealth } from './types.ts'

interface Deps {
  readonly serverName: string
  readonly registry: Registry<Served>
  isClosing(): boolean
  /** Why a version that serves was not replaced when that was last asked for. */
  reloadFailure(served: Served): string | undefined
}

export function createViews({ serverName, registry, isClosing, reloadFailure }: Deps) {
  function infoOf(served: Served): ModelInfo {
    const { name, version } = served
    const info = served.info(registry.defaultOf(name) === served)
    const versionLabels = [...registry.labels(name)].filter(([, target]) => target === version).map(([label]) => label)
    return versionLabels.length > 0 ? { ...info, versionLabels } : info
  }

  function model(name: string, version?: string): ModelInfo {
    const known = registry.select(name, version)
    return infoOf(known.find((served) => served === registry.defaultOf(name)) ?? (known.at(-1) as Served))
  }

  function health(): ServerHealth {
    const all = registry.all()
    const names = new Set(all.map(({ name }) => name))
    return {
      live: !isClosing(),
      ready: !isClosing() && [...names].every((name) => registry.defaultOf(name)?.available),
      models: all.map((served) => {
        const { name, version, state } = served
        const reason = served.reason?.message ?? served.unavailableBecause
        const reloadFailed = reloadFailure(served)
        return {
          name,
          version,
          state,
          ...(reason === undefined ? {} : { reason }),
          ...(reloadFailed === undefined ? {} : { reloadFailed }),
        }
      }),
    }
  }

  function describe(mount: MountConfig, { prefix, title = serverName, version = VERSION }: OpenApiOptions = {}): OpenApiDocument {
    const ready = registry.all().filter(({ state }) => state === 'ready')
    const models = ready.map((served) => ({ ...infoOf(served), example: served.example }))
    return describeServer(models, mount, { title, version, prefix })
  }

  function openapi(options: OpenApiOptions = {}): OpenApiDocument {
    const { mount, about } = resolveOpenApi(options)
    return describe(mount, about)
  }

  return { infoOf, model, models: () => registry.all().map(infoOf), health, describe, openapi }
}
