/** `/metrics` for Prometheus, in the words of whatever telemetry the server has. */

import { ModelmountError } from '../../errors.ts'
import type { TableMaker } from '../route.ts'

const PATH = '/metrics'
const encoder = new TextEncoder()

export const metrics: TableMaker = ({ metricsText }, config) => {
  if (!config.metrics && !(config.show.includes('observe') && metricsText)) return undefined
  if (!metricsText)
    throw new ModelmountError(
      'OPTIONS_INVALID',
      'metrics: true needs a telemetry that keeps metrics as text: createModelServer({ telemetry: await startTelemetry() }), from modelmount/telemetry/sdk',
    )
  return {
    owns: (path) => path === PATH,
    routes: [
      {
        method: 'GET',
        path: PATH,
        action: 'metrics',
        async handle() {
          const { contentType, text } = await metricsText()
          return {
            status: 200,
            headers: { 'content-type': contentType, 'cache-control': 'no-store' },
            body: encoder.encode(text),
          }
        },
      },
    ],
  }
}
