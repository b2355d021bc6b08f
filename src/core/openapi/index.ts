/** An OpenAPI 3.1 document of a mount's routes, from the models that are served: https://spec.openapis.org/oas/v3.1.1.html */

import { DIALECTS, type Dialect } from '../dialects/index.ts'
import type { JsonValue } from '../dialects/types.ts'
import type { MountConfig } from '../http/index.ts'
import type { Described, Paths } from './operation.ts'
import type { OpenApiDocument } from './types.ts'

export { resolveOpenApi } from './options.ts'

interface About {
  readonly title: string
  readonly version: string
  /** In front of every path; without one the paths are below the document's own address. */
  readonly prefix: string | undefined
}

/** @param models every version that takes requests */
export function describeServer(
  models: readonly Described[],
  mount: Pick<MountConfig, 'dialects'>,
  about: About,
  dialects: readonly Dialect[] = DIALECTS,
): OpenApiDocument {
  const mounted = dialects.filter(({ name }) => mount.dialects.includes(name))
  const paths: Paths = Object.assign({}, ...mounted.map(({ openapi }) => openapi.paths(models, mount)))
  const { title, version, prefix } = about
  return {
    openapi: '3.1.0',
    info: { title, version },
    ...(prefix === undefined ? { servers: [{ url: '.' }] } : {}),
    tags: [
      { name: 'models', description: 'Predictions' },
      { name: 'health', description: 'Probes' },
    ],
    paths: Object.fromEntries(Object.entries(paths).map(([path, item]) => [`${prefix ?? ''}${path}`, item])),
    components: { schemas: Object.assign({}, ...dialects.map(({ openapi }) => openapi.schemas)) },
  }
}

type Fields = { readonly [key: string]: unknown }

const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})

/**
 * Adds the paths of `more` to a document that another tool made, such as `@nestjs/swagger` or `@fastify/swagger`, of OpenAPI 3.0 or 3.1.
 * Nothing of that document is replaced or changed; it keeps its title and its servers.
 * @param more made with a `prefix`, so that its paths are where the app mounts them
 * @returns a new document
 */
export function mergeOpenApi<Document extends object>(document: Document, more: OpenApiDocument): Document {
  const base = document as Fields
  const components = fieldsOf(base.components)
  const tags = Array.isArray(base.tags) ? (base.tags as readonly JsonValue[]) : []
  const known = new Set(tags.map((tag) => fieldsOf(tag).name))
  return {
    ...document,
    paths: { ...more.paths, ...fieldsOf(base.paths) },
    tags: [...tags, ...more.tags.filter(({ name }) => !known.has(name))],
    components: { ...components, schemas: { ...more.components.schemas, ...fieldsOf(components.schemas) } },
  }
}
