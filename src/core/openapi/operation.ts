/** Operations of an OpenAPI document, with the tensors of each model. */

import type { ModelInfo } from '../model/types.ts'
import { type ExampleForm, type ExampleInput, exampleOf } from '../tensor/index.ts'
import { isNestable, type Json, nestedExample, nestedSchema } from './tensors.ts'

export type Paths = Record<string, Json>

/** A model, and a way to make a request that it is known to answer. */
export type Described = ModelInfo & { readonly example: ExampleForm | undefined }

export const inputsOf = ({ inputs, example }: Described): readonly ExampleInput[] | undefined =>
  example && exampleOf(inputs, example)

interface Facts {
  readonly id: string
  readonly summary: string
  readonly description?: string
  readonly request?: { readonly schema: Json; readonly example: Json | undefined }
  readonly response?: Json
  readonly error: string
}

const content = (schema: Json, example?: Json): Json => ({
  'application/json': { schema, ...(example ? { example } : {}) },
})
const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })

const REFUSALS: Readonly<Record<string, string>> = {
  400: 'The request does not fit the model.',
  404: 'There is no such model or version.',
  503: 'Not ready, or too much to do; Retry-After says when to come back.',
}

export function operation({ id, summary, description, request, response = {}, error }: Facts): Json {
  const failed = Object.entries(REFUSALS).map(([status, text]) => [status, { description: text, content: content(ref(error)) }])
  return {
    operationId: id,
    summary,
    ...(description ? { description } : {}),
    tags: ['models'],
    ...(request ? { requestBody: { required: true, content: content(request.schema, request.example) } } : {}),
    responses: { 200: { description: 'OK', content: content(response) }, ...Object.fromEntries(failed) },
  }
}

/** A probe has no body worth a schema, and 503 as its other answer. */
export const probe = (id: string, summary: string): Json => ({
  operationId: id,
  summary,
  tags: ['health'],
  responses: { 200: { description: 'Yes.' }, 503: { description: 'No.' } },
})

export const list = (items: readonly Json[]): Json => ({ type: 'array', items: items.length === 0 ? {} : { oneOf: items } })

/** The version of the path; none for the default one. */
export function placeOf({ name, version, isDefault }: ModelInfo): { readonly at: string; readonly id: string } {
  return isDefault ? { at: name, id: name } : { at: `${name}/versions/${version}`, id: `${name}__${version}` }
}

/** Values by name of the input: a form that every model has. */
export function named(info: Described): { readonly schema: Json; readonly example: Json | undefined } {
  const given = inputsOf(info)
  const samples = given?.every(isNestable) ? given : undefined
  const required = info.inputs.filter(({ optional }) => !optional).map(({ name }) => name)
  return {
    schema: {
      type: 'object',
      required: ['inputs'],
      properties: {
        inputs: {
          type: 'object',
          ...(required.length > 0 ? { required } : {}),
          properties: Object.fromEntries(info.inputs.map((input) => [input.name, nestedSchema(input)])),
        },
      },
    },
    example: samples && { inputs: Object.fromEntries(samples.map((sample) => [sample.name, nestedExample(sample)])) },
  }
}

export const text: Json = { type: 'string' }
