/** What an app process is told and what it answers. */

export type Framework = 'express' | 'fastify'

/**
 * Who answers the model route: modelmount; `session.run()` in the route, as one writes it first; a piscina pool; or nobody, to see what the
 * framework can do at all.
 */
export type Kind = 'ours' | 'naive' | 'piscina' | 'echo'

export interface AppAsk {
  readonly framework: Framework
  readonly kind: Kind
  /** The model that is served as `m`. */
  readonly model: Uint8Array
  /** Floats of a row of its one input. */
  readonly length: number
}

export interface AppAnswer {
  readonly port: number
  /** Of the rival, with the configuration it has found best. */
  readonly label: string
}
