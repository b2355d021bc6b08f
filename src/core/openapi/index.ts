/** An OpenAPI 3.1 document of a mount's routes, from the models that are served: https://spec.openapis.org/oas/v3.1.1.html */

import type { JsonValue } from '../dialects/types.ts'
import { type Described, ERROR_SCHEMAS, mlflowPaths, openInferencePaths, type Paths, tfServingPaths } from './dialects.ts'
import type { OpenApiDocument } from './types.ts'

export { resolveOpenApi } from './options.ts'

interface Mounted {
  readonly dialects: readonly string[]
  /** The model behind the one-model routes of `mlflow`. */
  readonly mlflow: { readonly model: string; readonly version?: string } | undefined
}

interface About {
  readonly title: string
  readonly version: string
  /** In front of every path; without one the paths are below the document's own address. */
  readonly prefix: string | undefined
}

/** @param models every version that takes requests */
export function describeServer(models: readonly Described[], { dialects, mlflow }: Mounted, about: About): OpenApiDocument {
  const single = mlflow
    ? models.find(
        ({ name, version, isDefault }) =>
          name === mlflow.model && (mlflow.version === undefined ? isDefault : version === mlflow.version),
      )
    : models.filter(({ isDefault }) => isDefault).length === 1
      ? models.find(({ isDefault }) => isDefault)
      : undefined
  // The other dialects cannot name the sequence that a model with state needs.
  const stateless = models.filter(({ sequences }) => !sequences)
  const paths: Paths = {
    ...(dialects.includes('open-inference') ? openInferencePaths(models) : {}),
    ...(dialects.includes('tf-serving') ? tfServingPaths(stateless) : {}),
    ...(dialects.includes('mlflow') ? mlflowPaths(single?.sequences ? undefined : single) : {}),
  }
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
    components: { schemas: ERROR_SCHEMAS },
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
