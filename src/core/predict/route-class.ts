/** The audience of a route. A mount shows classes, not extensions. */

export const ROUTE_CLASSES = ['inference', 'observe', 'manage'] as const

export type RouteClass = (typeof ROUTE_CLASSES)[number]
