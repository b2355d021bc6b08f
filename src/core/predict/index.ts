/** The seam that extensions are written against. */

export type { RunFacts } from '../engine/run.ts'
export type {
  Account,
  Answer,
  Call,
  CheckedCall,
  Codec,
  Decoded,
  Predict,
  Principal,
  Progress,
  RoutedCall,
  Servable,
  ServableInfo,
  ServableKind,
  Tensors,
  Unchecked,
} from './call.ts'
export {
  API_VERSION,
  type Extension,
  type ExtensionContext,
  type ExtensionRoute,
  type Panel,
  type Source,
} from './extension.ts'
export { ACTIONS, type Action, type Demand, type Guard } from './guard.ts'
export { ROUTE_CLASSES, type RouteClass } from './route-class.ts'
export { type CallIn, PLACES, type Place, type Stage, type Stages } from './stage.ts'
