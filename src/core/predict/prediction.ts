/** The way of a prediction of one server, from its two front doors to what answers. */

import type { ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import type { Registry } from '../registry/registry.ts'
import type { RequestObserver } from '../telemetry/index.ts'
import { adopt } from './adopt.ts'
import type { Call } from './call.ts'
import { createCheck } from './check.ts'
import type { Extension, ExtensionContext } from './extension.ts'
import { startExtensions } from './extensions.ts'
import { createFront } from './front.ts'
import type { Demand } from './guard.ts'
import { guardsOf } from './guards.ts'
import { createLedger } from './ledger.ts'
import { cacheStep, createPipeline, decodeStep } from './pipeline.ts'
import { createRoute, targetOf } from './route.ts'
import type { Served } from './served.ts'
import { createShort } from './short.ts'

interface Deps {
  readonly registry: Registry<Served>
  readonly observer: RequestObserver | undefined
  readonly clock: Clock
  newId(): string
  /** @throws ModelmountError `SERVER_CLOSED` */
  refuseClosed(): void
  readonly warn: (message: string) => void
}

export function createPrediction(extensions: readonly Extension[], deps: Deps) {
  const { registry, observer, clock, newId, refuseClosed, warn } = deps
  let closeExtensions: (() => Promise<void>) | undefined

  const report = (what: string, { cause }: ModelmountError): void =>
    warn(`${what}: ${cause instanceof Error ? (cause.stack ?? cause.message).replace(/\s*\n\s*/g, ' ') : String(cause)}`)
  const guards = guardsOf(extensions, report)
  const ledger = createLedger({ registry, observer, now: clock.now })
  const pipeline = createPipeline({
    steps: { decode: decodeStep, route: createRoute(registry), check: createCheck(observer), cache: cacheStep },
    extensions,
    report,
  })
  const allow = guards && ((call: Call) => guards.ask(demandOf(call)))
  // Stages and guards see every call.
  const short = allow || pipeline.isExtended ? undefined : createShort({ registry, observer, ledger, newId })
  const front = createFront({ short, pipeline, ledger, clock, newId, refuseClosed, allow })
  for (const { servables = [] } of extensions) {
    for (const servable of servables) registry.set(adopt(servable))
  }

  return {
    guards,
    routes: extensions.flatMap(({ routes = [] }) => routes),
    front,
    ledger,
    pipeline,
    /** The servable that a call names. @throws ModelmountError `SERVER_CLOSED`, and as `targetOf` */
    target(call: Call) {
      refuseClosed()
      return targetOf(registry, call)
    },
    async start(lent: Omit<ExtensionContext, 'warn' | 'sources' | 'panels'>): Promise<void> {
      if (extensions.length > 0) closeExtensions = await startExtensions(extensions, lent, warn)
    },
    close: async (): Promise<void> => closeExtensions?.(),
  }
}

/** `predict()` is the application's own. */
const demandOf = ({ model, version, principal, tenant }: Call): Demand => ({
  action: 'infer',
  via: 'server',
  principal: principal ?? (tenant === undefined ? undefined : { tenant }),
  model,
  version,
})
