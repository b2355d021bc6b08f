/** The part of this dialect in an OpenAPI document. */

import { type Described, inputsOf, list, operation, type Paths, placeOf, probe, text } from '../../openapi/operation.ts'
import { inputSchema, type Json, outputSchema, wireExample } from '../../openapi/tensors.ts'

const ERROR = 'ModelmountError'

export const SCHEMAS: Json = {
  [ERROR]: {
    type: 'object',
    required: ['error', 'code'],
    properties: { error: text, code: text, details: { type: 'object' } },
  },
}

export function paths(models: readonly Described[]): Paths {
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
