/** The methods of a server behind its guards. */

import type { Action, Demand } from '../predict/guard.ts'
import type { Guards } from '../predict/guards.ts'
import type { ModelServer } from './types.ts'

type Names = { [K in keyof ModelServer]: ModelServer[K] extends (...args: never[]) => unknown ? K : never }
type Method = Extract<Names[keyof ModelServer], string>

/** The action of every method. `predict()` asks on its way, where stages see a refusal. */
const ACTIONS = {
  load: 'load',
  unload: 'unload',
  setVersionLabel: 'promote',
  purge: 'cache',
  model: 'read',
  models: 'list',
  health: 'list',
  subscribe: 'metrics',
  openapi: 'list',
  close: 'configure',
} as const satisfies Record<Exclude<Method, 'predict'>, Action>

/** Methods whose first argument is no name. The others have a name first, and a version second. */
const NAMELESS: ReadonlySet<string> = new Set(['load', 'models', 'health', 'subscribe', 'openapi', 'close'])

/** Methods that return a promise, and wait for guards that do. */
const ANSWERS_LATER: ReadonlySet<string> = new Set(['load', 'unload', 'close'])

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

function demandOf(method: keyof typeof ACTIONS, [first, second, third]: readonly unknown[]): Demand {
  const spec = method === 'load' ? (first as { name?: unknown; version?: unknown } | undefined) : undefined
  const [name, version] = NAMELESS.has(method)
    ? [spec?.name, spec?.version]
    : [first, method === 'setVersionLabel' ? third : second]
  return { action: ACTIONS[method], via: 'server', principal: undefined, model: textOf(name), version: textOf(version) }
}

/** The same server where there are no guards. */
export function guardMethods(server: ModelServer, guards: Guards | undefined): ModelServer {
  if (!guards) return server
  const guarded = { ...server } as unknown as Record<string, unknown>
  for (const method of Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]) {
    const call = server[method] as (...args: unknown[]) => unknown
    guarded[method] = ANSWERS_LATER.has(method)
      ? async (...args: unknown[]) => {
          const later = guards.ask(demandOf(method, args))
          if (later) await later
          return call(...args)
        }
      : (...args: unknown[]) => {
          guards.askAtOnce(demandOf(method, args))
          return call(...args)
        }
  }
  const { close } = guarded as unknown as ModelServer
  return Object.assign(guarded as unknown as ModelServer, { [Symbol.asyncDispose]: () => close() })
}
