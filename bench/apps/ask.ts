/** Instructions for an app process, and its answers. */

/** `attach` is plain `node:http` with the fast lane in front. */
export type Framework = 'express' | 'fastify' | 'nest' | 'node' | 'attach'

/**
 * The handler of the model route: modelmount; `session.run()` in the route, as one writes it first; a piscina pool; or none, to see the
 * framework's own limit: `echo` parses JSON and answers JSON, `bytes` sends its input back.
 */
export type Kind = 'ours' | 'naive' | 'piscina' | 'echo' | 'bytes'

export interface AppAsk {
  readonly framework: Framework
  readonly kind: Kind
  readonly model: Uint8Array
  /** Its served names; under two names it is two models, each with a session of its own. @default ['m'] */
  readonly names?: readonly string[]
  /** Where modelmount may run it. @default its default */
  readonly inline?: 'auto' | false
  /** Floats of a row of its one input. */
  readonly length: number
}

export interface AppAnswer {
  readonly port: number
  /** Of the rival, with the configuration it has found best. */
  readonly label: string
}
