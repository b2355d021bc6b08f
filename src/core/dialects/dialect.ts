/** A request format: everything that the server knows of it. */

import type { ModelmountError } from '../errors.ts'
import type { Described, Paths } from '../openapi/operation.ts'
import type { Json } from '../openapi/tensors.ts'
import type { Declared } from '../options/kinds.ts'
import type { RouteClass } from '../predict/route-class.ts'
import type { Asked, Decoder, Operation } from './operation.ts'
import type { Backend, Handler, Route, Visit } from './route.ts'

/** The mount that routes are made for. */
export interface Mount<Options> {
  /** With defaults in place. */
  readonly options: Options
  /** Classes of routes that it answers. */
  readonly show: readonly RouteClass[]
  /**
   * Makes the handler of a route that runs a model. The pattern of the route names the model `model`, the version `version` and the label `label`.
   * @param target the model, where the path does not say it
   */
  infer<A extends Asked>(operation: Operation<A>, target?: () => Visit['params']): Handler
}

export interface Dialect<Name extends string = string, Options extends object = object> {
  readonly name: Name
  /**
   * The paths that it owns, routed or not: no other handler of the app answers them. A final `*` stands for any rest. Frameworks get them in
   * advance.
   */
  readonly roots: readonly string[]
  /** Roots are matched in any case. @default false */
  readonly anyCase?: boolean
  /** Its own options of a mount; the interface is in its `options.ts`. */
  readonly options: Declared<Options>
  /** A sentence for each contradiction. @param isMounted whether the mount names the dialect */
  contradictions?(options: Options, isMounted: boolean): string[]
  readonly decoders: readonly Decoder[]
  /** The routes of one mount that names it. */
  routes(backend: Backend, mount: Mount<Options>): readonly Route[]
  /** The body of every failed call. */
  encodeError(error: ModelmountError): Uint8Array
  readonly openapi: {
    /** The bodies of failed calls, by name. */
    readonly schemas: Json
    /** @param models every version that takes requests */
    paths(models: readonly Described[], options: Options): Paths
  }
}
