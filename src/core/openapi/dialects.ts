/** The paths of each dialect, with the tensors of each model. */

import type { ModelInfo } from '../model/types.ts'
import { type ExampleForm, type ExampleInput, exampleOf } from '../tensor/index.ts'
import { inputSchema, isNestable, type Json, nestedExample, nestedSchema, outputSchema, wireExample } from './tensors.ts'

export type Paths = Record<string, Json>

/** A model, and a way to make a request that it is known to answer. */
export type Described = ModelInfo & { readonly example: ExampleForm | undefined }

const inputsOf = ({ inputs, example }: Described): readonly ExampleInput[] | undefined => example && exampleOf(inputs, example)

interface Operation {
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

function operation({ id, summary, description, request, response = {}, error }: Operation): Json {
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
const probe = (id: string, summary: string): Json => ({
  operationId: id,
  summary,
  tags: ['health'],
  responses: { 200: { description: 'Yes.' }, 503: { description: 'No.' } },
})

const list = (items: readonly Json[]): Json => ({ type: 'array', items: items.length === 0 ? {} : { oneOf: items } })

/** @param isDefault for the version that requests without one get */
export function openInferencePaths(models: readonly Described[]): Paths {
  const paths: Paths = {
    '/v2/health/live': { get: probe('live', 'Is the server alive?') },
    '/v2/health/ready': { get: probe('ready', 'Do all models take requests?') },
    '/v2': { get: operation({ id: 'server_metadata', summary: 'Name, version and extensions of the server', error: ERROR }) },
    '/v2/models': { get: operation({ id: 'list_models', summary: 'Names of the models', error: ERROR }) },
  }
  for (const info of models) {
    const { at, id } = placeOf(info)
    paths[`/v2/models/${at}`] = {
      get: operation({ id: `metadata_${id}`, summary: `Inputs and outputs of ${info.name}`, error: ERROR }),
    }
    paths[`/v2/models/${at}/ready`] = { get: probe(`ready_${id}`, `Does ${info.name} take requests?`) }
    paths[`/v2/models/${at}/infer`] = { post: infer(info, `infer_${id}`) }
  }
  return paths
}

const ERROR = 'ModelmountError'

/** The version of the path; none for the default one. */
function placeOf({ name, version, isDefault }: ModelInfo): { readonly at: string; readonly id: string } {
  return isDefault ? { at: name, id: name } : { at: `${name}/versions/${version}`, id: `${name}__${version}` }
}

function infer(info: Described, id: string): Json {
  const samples = inputsOf(info)
  const outputs = info.outputs.map((output) => output.name)
  return operation({
    id,
    summary: `Run ${info.name}, version ${info.version}`,
    description: info.doc.slice(0, 2000),
    error: ERROR,
    request: {
      schema: {
        type: 'object',
        required: info.sequences ? ['inputs', 'parameters'] : ['inputs'],
        properties: {
          id: { type: 'string', description: 'Comes back with the answer.' },
          parameters: info.sequences ? SEQUENCE_PARAMETERS : { type: 'object' },
          inputs: list(info.inputs.map(inputSchema)),
          outputs: {
            type: 'array',
            description: 'The outputs to compute; all where it is left out.',
            items: {
              type: 'object',
              required: ['name'],
              properties: {
                name: { type: 'string', ...(outputs.length > 0 ? { enum: outputs } : {}) },
                parameters: { type: 'object' },
              },
            },
          },
        },
      },
      example: samples && {
        inputs: samples.map(wireExample),
        ...(info.sequences ? { parameters: { sequence_id: 1, sequence_start: true, sequence_end: true } } : {}),
      },
    },
    response: {
      type: 'object',
      required: ['model_name', 'outputs'],
      properties: {
        model_name: { type: 'string', enum: [info.name] },
        model_version: { type: 'string', enum: [info.version] },
        id: { type: 'string' },
        outputs: list(info.outputs.map(outputSchema)),
      },
    },
  })
}

/** A model with state needs a sequence. */
const SEQUENCE_PARAMETERS: Json = {
  type: 'object',
  required: ['sequence_id'],
  properties: {
    sequence_id: {
      description: 'Which sequence this is a request of.',
      oneOf: [
        { type: 'integer', minimum: 1 },
        { type: 'string', minLength: 1, maxLength: 256 },
      ],
    },
    sequence_start: { type: 'boolean', description: 'It begins here, with fresh state.' },
    sequence_end: { type: 'boolean', description: 'It ends here.' },
  },
}

/** Values by name of the input: the form of TensorFlow Serving and of MLflow that every model has. */
function named(info: Described): { readonly schema: Json; readonly example: Json | undefined } {
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

export function tfServingPaths(models: readonly Described[]): Paths {
  const paths: Paths = {}
  for (const info of models) {
    const { at, id } = placeOf(info)
    const error = 'ModelmountTfError'
    const summary = `Run ${info.name}, version ${info.version}, as TensorFlow Serving would`
    const response: Json = { type: 'object', properties: { outputs: {}, predictions: {} } }
    paths[`/v1/models/${at}`] = { get: operation({ id: `tf_status_${id}`, summary: `State of ${info.name}`, error }) }
    paths[`/v1/models/${at}:predict`] = {
      post: operation({ id: `tf_predict_${id}`, summary, request: named(info), response, error }),
    }
  }
  return paths
}

export function mlflowPaths(info: Described | undefined): Paths {
  const error = 'ModelmountMlflowError'
  return {
    '/ping': { get: probe('mlflow_ping', 'Does the model take requests?') },
    ...(info
      ? {
          '/invocations': {
            post: operation({
              id: 'mlflow_invocations',
              summary: `Run ${info.name}, as MLflow would`,
              request: named(info),
              response: { type: 'object', properties: { predictions: {} } },
              error,
            }),
          },
        }
      : {}),
  }
}

const text: Json = { type: 'string' }

/** The bodies of failed calls. */
export const ERROR_SCHEMAS: Json = {
  ModelmountError: {
    type: 'object',
    required: ['error', 'code'],
    properties: { error: text, code: text, details: { type: 'object' } },
  },
  ModelmountTfError: { type: 'object', required: ['error'], properties: { error: text } },
  ModelmountMlflowError: { type: 'object', required: ['error_code', 'message'], properties: { error_code: text, message: text } },
}
