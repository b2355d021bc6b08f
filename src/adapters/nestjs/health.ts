/** A health indicator for `@nestjs/terminus`, which is not imported. */

import type { ModelServer } from '../../core/server/types.ts'
import { IS_NEST_10 } from './platform.ts'

type Status = 'up' | 'down'
export type HealthResult<Key extends string> = Record<Key, { status: Status; models: Record<string, string> }>

/** For `health.check([() => this.models.isHealthy()])`. */
export class ModelServerHealth {
  readonly #server: ModelServer

  constructor(server: ModelServer) {
    this.#server = server
  }

  /**
   * Up when every model has a ready version that takes requests; reports the state of each version.
   * @param key its name in the result. @default 'models'
   * @throws with terminus 10, which signals "down" that way
   */
  async isHealthy<Key extends string = 'models'>(key: Key = 'models' as Key): Promise<HealthResult<Key>> {
    const { ready, models } = this.#server.health()
    const states = Object.fromEntries(models.map(({ name, version, state }) => [`${name}@${version}`, state]))
    const result = { [key]: { status: ready ? 'up' : 'down', models: states } } as HealthResult<Key>
    if (ready || !IS_NEST_10) return result
    throw Object.assign(new Error('not every model is ready'), { isHealthCheckError: true, causes: result })
  }
}
