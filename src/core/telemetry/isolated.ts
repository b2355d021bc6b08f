/** Keeps the errors of a telemetry away from the server. */

import type { Telemetry } from './reports.ts'

/** A telemetry that does no harm: its errors are caught, and reported once. */
export function isolated(telemetry: Telemetry, warn: (message: string) => void): Telemetry {
  let said = false
  const guard = <A extends unknown[], R>(call: ((...args: A) => R) | undefined) =>
    call &&
    ((...args: A): R | undefined => {
      try {
        return call.apply(telemetry, args)
      } catch (error) {
        if (!said)
          warn(`telemetry failed, and is ignored where it does: ${error instanceof Error ? error.message : String(error)}`)
        said = true
        return undefined
      }
    })
  const watch = guard(telemetry.watch)
  return {
    watch: watch && ((source) => guard(watch(source))),
    begin: guard(telemetry.begin),
    end: guard(telemetry.end),
    run: guard(telemetry.run),
    load: guard(telemetry.load),
    metricsText: telemetry.metricsText?.bind(telemetry),
  }
}
