/**
 * Every name that leaves the process by telemetry: instruments, spans, attributes. `docs/telemetry.md` prints the same tables; a test keeps
 * the two equal. No convention of OpenTelemetry covers inference of plain tensors, so the names are our own where `error.type`, `nodejs.*`,
 * `process.*` and `hw.*` do not fit. Values of attributes come from registered models and fixed lists only.
 */

/** Name of the tracer, the meter and the scope of everything here. */
export const SCOPE = 'modelmount'

export interface MetricName {
  readonly name: string
  readonly kind: 'histogram' | 'counter' | 'updown' | 'gauge'
  /** UCUM, as OpenTelemetry requires. */
  readonly unit: string
  readonly description: string
  readonly attributes: readonly string[]
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[]
}

// ---------------------------------------------------------------- attributes

export const ATTR_MODEL = 'model.name'
export const ATTR_VERSION = 'model.version'
export const ATTR_ERROR = 'error.type'
export const ATTR_OUTCOME = 'modelmount.outcome'
export const ATTR_REASON = 'modelmount.batch.reason'
export const ATTR_ROWS = 'modelmount.batch.rows'
export const ATTR_REQUESTS = 'modelmount.batch.requests'
export const ATTR_PADDING = 'modelmount.batch.padding'
export const ATTR_INSTANCE = 'modelmount.instance'
export const ATTR_PROVIDER = 'modelmount.execution_provider'
export const ATTR_ISOLATION = 'modelmount.isolation'
export const ATTR_STATE = 'modelmount.state'
export const ATTR_DEFAULT = 'modelmount.default'
export const ATTR_LABEL = 'modelmount.label'
export const ATTR_CACHED = 'modelmount.cached'
export const ATTR_CACHE_RESULT = 'modelmount.cache.result'
export const ATTR_REQUEST_ID = 'modelmount.request.id'
export const ATTR_QUEUE_S = 'modelmount.queue.duration'
export const ATTR_INPUT_S = 'modelmount.compute.input.duration'
export const ATTR_INFER_S = 'modelmount.infer.duration'
export const ATTR_OUTPUT_S = 'modelmount.compute.output.duration'
export const ATTR_GPU = 'hw.id'
export const ATTR_GPU_NAME = 'hw.name'

/** Stands for a model that is not registered. */
export const OTHER = '_OTHER'

// ---------------------------------------------------------------- spans

export const SPANS = {
  predict: {
    name: 'predict {model}',
    description: 'One request, from the call to its answer; a child of what the app was doing.',
    attributes: [
      ATTR_MODEL,
      ATTR_VERSION,
      ATTR_LABEL,
      ATTR_REQUEST_ID,
      ATTR_CACHED,
      ATTR_ROWS,
      ATTR_QUEUE_S,
      ATTR_INFER_S,
      ATTR_ERROR,
    ],
  },
  run: {
    name: 'run {model}',
    description:
      'One run of the model for one or more requests: a child of the first recorded one, linked with all of them in both directions. The events `pack`, `run` and `unpack` say when its parts began.',
    attributes: [
      ATTR_MODEL,
      ATTR_VERSION,
      ATTR_REASON,
      ATTR_ROWS,
      ATTR_REQUESTS,
      ATTR_PADDING,
      ATTR_INSTANCE,
      ATTR_PROVIDER,
      ATTR_QUEUE_S,
      ATTR_INPUT_S,
      ATTR_INFER_S,
      ATTR_OUTPUT_S,
      ATTR_ERROR,
    ],
  },
  load: {
    name: 'load {model}',
    description:
      'A version was brought up. Its children are `verify`, `read`, `prepare`, `trialRun` where there is one, `load` and `warmup`.',
    attributes: [ATTR_MODEL, ATTR_VERSION, ATTR_ERROR],
  },
} as const

// ---------------------------------------------------------------- metrics

/** From a model of microseconds to one of many seconds. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
const SHORT_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.025, 0.1]
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128]

const OF_MODEL = [ATTR_MODEL, ATTR_VERSION]

export const METRICS = {
  requestDuration: {
    name: 'modelmount.request.duration',
    kind: 'histogram',
    unit: 's',
    description: 'From the call of predict(), or the checked HTTP request, to the answer or the error.',
    attributes: [...OF_MODEL, ATTR_ERROR],
    buckets: SECONDS,
  },
  queueDuration: {
    name: 'modelmount.queue.duration',
    kind: 'histogram',
    unit: 's',
    description: 'The longest wait for an instance among the requests of a run; once a run.',
    attributes: OF_MODEL,
    buckets: SECONDS,
  },
  computeInputDuration: {
    name: 'modelmount.compute.input.duration',
    kind: 'histogram',
    unit: 's',
    description:
      'From leaving the queue until ONNX Runtime began: joining, packing, the way to the worker, the wait behind its other runs.',
    attributes: OF_MODEL,
    buckets: SHORT_SECONDS,
  },
  inferDuration: {
    name: 'modelmount.infer.duration',
    kind: 'histogram',
    unit: 's',
    description: 'One run inside ONNX Runtime.',
    attributes: OF_MODEL,
    buckets: SECONDS,
  },
  computeOutputDuration: {
    name: 'modelmount.compute.output.duration',
    kind: 'histogram',
    unit: 's',
    description: "From ONNX Runtime's end until the answers were cut apart.",
    attributes: OF_MODEL,
    buckets: SHORT_SECONDS,
  },
  batchSize: {
    name: 'modelmount.batch.size',
    kind: 'histogram',
    unit: '{row}',
    description: 'Rows of a run.',
    attributes: OF_MODEL,
    buckets: ROWS,
  },
  requests: {
    name: 'modelmount.requests',
    kind: 'counter',
    unit: '{request}',
    description: 'Requests by how they ended: `ok`, or the error code.',
    attributes: [...OF_MODEL, ATTR_OUTCOME],
  },
  executions: {
    name: 'modelmount.executions',
    kind: 'counter',
    unit: '{run}',
    description: 'Runs by why they were sent when they were.',
    attributes: [...OF_MODEL, ATTR_REASON],
  },
  rows: {
    name: 'modelmount.rows',
    kind: 'counter',
    unit: '{row}',
    description: 'Rows that were run; cached answers are not.',
    attributes: OF_MODEL,
  },
  padding: {
    name: 'modelmount.padding',
    kind: 'counter',
    unit: '{element}',
    description: 'Elements that shorter rows were filled up with to share a run.',
    attributes: OF_MODEL,
  },
  computeTime: {
    name: 'modelmount.compute.time',
    kind: 'counter',
    unit: 's',
    description: 'Time inside ONNX Runtime, all runs together.',
    attributes: OF_MODEL,
  },
  computeAloneTime: {
    name: 'modelmount.compute.alone.time',
    kind: 'counter',
    unit: 's',
    description:
      'Time that the same rows would have taken one by one, by the learned cost of a run. Divided by the time above it is the gain of batching.',
    attributes: OF_MODEL,
  },
  waiting: {
    name: 'modelmount.requests.waiting',
    kind: 'updown',
    unit: '{request}',
    description: 'Requests in the queue.',
    attributes: OF_MODEL,
  },
  running: {
    name: 'modelmount.requests.running',
    kind: 'updown',
    unit: '{request}',
    description: 'Requests that a worker has.',
    attributes: OF_MODEL,
  },
  limit: {
    name: 'modelmount.requests.limit',
    kind: 'updown',
    unit: '{request}',
    description: 'Requests that can run at a time: ready instances times the largest batch.',
    attributes: OF_MODEL,
  },
  saturation: {
    name: 'modelmount.saturation',
    kind: 'gauge',
    unit: '1',
    description: '(waiting + running) / limit; over 1 means that work piles up. Scale out on it.',
    attributes: OF_MODEL,
  },
  cacheRequests: {
    name: 'modelmount.cache.requests',
    kind: 'counter',
    unit: '{request}',
    description: 'Look-ups among the kept results: `hit` or `miss`.',
    attributes: [...OF_MODEL, ATTR_CACHE_RESULT],
  },
  cacheSize: {
    name: 'modelmount.cache.size',
    kind: 'updown',
    unit: 'By',
    description: 'Memory of the kept results.',
    attributes: OF_MODEL,
  },
  ready: {
    name: 'modelmount.model.ready',
    kind: 'updown',
    unit: '{model}',
    description: '1 for a version that takes requests, in each server of the process that has it.',
    attributes: OF_MODEL,
  },
  info: {
    name: 'modelmount.model.info',
    kind: 'updown',
    unit: '{model}',
    description: 'Always 1: the provider of a version, and whether requests without a version get it.',
    attributes: [...OF_MODEL, ATTR_STATE, ATTR_PROVIDER, ATTR_ISOLATION, ATTR_DEFAULT],
  },
  instances: {
    name: 'modelmount.instances',
    kind: 'updown',
    unit: '{instance}',
    description: 'Instances that are `ready`, and that there should be (`target`).',
    attributes: [...OF_MODEL, ATTR_STATE],
  },
  restarts: {
    name: 'modelmount.worker.restarts',
    kind: 'counter',
    unit: '{restart}',
    description: 'Workers that were lost and are started again.',
    attributes: OF_MODEL,
  },
  checks: {
    name: 'modelmount.model.checks',
    kind: 'counter',
    unit: '{check}',
    description:
      'Looks at models before they may run, by how they ended: `verified`, `unverified` (runs without a trusted signature), `refused`, `revoked`, `trial-run-failed`.',
    attributes: [ATTR_MODEL, ATTR_OUTCOME],
  },
  loadDuration: {
    name: 'modelmount.model.load.duration',
    kind: 'gauge',
    unit: 's',
    description: 'How long the first instance took to load.',
    attributes: OF_MODEL,
  },
  memory: {
    name: 'modelmount.instance.memory',
    kind: 'gauge',
    unit: 'By',
    description: 'Memory of one instance: measured if it is a process, else estimated from the weights.',
    attributes: OF_MODEL,
  },
  workerUtilization: {
    name: 'modelmount.worker.utilization',
    kind: 'gauge',
    unit: '1',
    description: 'Share of the time since the last collection that the ready workers spent inside ONNX Runtime.',
    attributes: OF_MODEL,
  },
  loopUtilization: {
    name: 'nodejs.eventloop.utilization',
    kind: 'gauge',
    unit: '1',
    description: "Share of the time since the last collection that the host's event loop was busy.",
    attributes: [],
  },
  loopDelayMean: {
    name: 'nodejs.eventloop.delay.mean',
    kind: 'gauge',
    unit: 's',
    description: "Mean delay of the host's event loop since the last collection.",
    attributes: [],
  },
  loopDelayP99: {
    name: 'nodejs.eventloop.delay.p99',
    kind: 'gauge',
    unit: 's',
    description: "99th percentile of the delay of the host's event loop since the last collection.",
    attributes: [],
  },
  loopDelayMax: {
    name: 'nodejs.eventloop.delay.max',
    kind: 'gauge',
    unit: 's',
    description: "Longest delay of the host's event loop since the last collection.",
    attributes: [],
  },
  rss: {
    name: 'process.memory.usage',
    kind: 'updown',
    unit: 'By',
    description: 'Resident memory of the process, its worker threads included.',
    attributes: [],
  },
  gpuUtilization: {
    name: 'hw.gpu.utilization',
    kind: 'gauge',
    unit: '1',
    description: 'Share of the time that kernels ran on the GPU, as `nvidia-smi` has it.',
    attributes: [ATTR_GPU, ATTR_GPU_NAME],
  },
  gpuMemory: {
    name: 'hw.gpu.memory.usage',
    kind: 'updown',
    unit: 'By',
    description: 'Memory in use on the GPU, by all processes.',
    attributes: [ATTR_GPU, ATTR_GPU_NAME],
  },
  gpuMemoryLimit: {
    name: 'hw.gpu.memory.limit',
    kind: 'updown',
    unit: 'By',
    description: 'Memory of the GPU.',
    attributes: [ATTR_GPU, ATTR_GPU_NAME],
  },
  gpuPower: {
    name: 'hw.power',
    kind: 'gauge',
    unit: 'W',
    description: 'Power that the GPU draws.',
    attributes: [ATTR_GPU, ATTR_GPU_NAME],
  },
} as const satisfies Readonly<Record<string, MetricName>>

/** Labels of the names in dashboards for Triton. */
export const TRITON_LABELS = ['model', 'version'] as const

const triton = (name: string, unit: string, description: string): MetricName => ({
  name,
  // A counter would end in `_total`, which Triton's dashboards do not expect.
  kind: 'updown',
  unit,
  description,
  attributes: TRITON_LABELS,
})

/** With `tritonNames: true`, for existing dashboards. Durations are cumulative microseconds, as in Triton. */
export const TRITON_METRICS = {
  success: triton('nv_inference_request_success', '', 'Requests that were answered.'),
  failure: { ...triton('nv_inference_request_failure', '', 'Requests that were not.'), attributes: [...TRITON_LABELS, 'reason'] },
  count: triton('nv_inference_count', '', 'Rows that were run.'),
  executions: triton('nv_inference_exec_count', '', 'Runs.'),
  pending: triton('nv_inference_pending_request_count', '', 'Requests in the queue.'),
  requestUs: triton('nv_inference_request_duration_us', '', 'From the call to the answer, cached ones included.'),
  queueUs: triton('nv_inference_queue_duration_us', '', 'Waiting for an instance.'),
  inputUs: triton('nv_inference_compute_input_duration_us', '', 'From the queue to ONNX Runtime.'),
  inferUs: triton('nv_inference_compute_infer_duration_us', '', 'Inside ONNX Runtime.'),
  outputUs: triton('nv_inference_compute_output_duration_us', '', 'From ONNX Runtime to the answers.'),
  cacheHits: triton('nv_cache_num_hits_per_model', '', 'Requests that were answered from the cache.'),
  cacheMisses: triton('nv_cache_num_misses_per_model', '', 'Requests that were not.'),
} as const satisfies Readonly<Record<string, MetricName>>
