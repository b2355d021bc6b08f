/** Converts Triton's `sequence_batching` into declared state. */

import type { ModelSpec } from '../../model/types.ts'
import type { SequenceControl, SequenceOptions, SequenceState } from '../../sequences/types.ts'
import { invalid, type Json, type Note, number, numbers, object, objects, string, unsupported } from './values.ts'

/** Triton's own default, `max_sequence_idle_microseconds` of a second. */
const IDLE_MS = 1000

const STRATEGY: Readonly<Record<string, string>> = {
  max_candidate_sequences: 'as many sequences may be open as sequences.maxSequences says',
  preferred_batch_size: 'sizes follow what was measured at warm-up, up to max_batch_size',
  max_queue_delay_microseconds: 'a request never waits for other sequences while an instance is free',
  minimum_slot_utilization: 'a request never waits for other sequences while an instance is free',
}

const REST: Readonly<Record<string, string>> = {
  generative_sequence: 'a request is answered once',
  iterative_sequence: 'a request is answered once',
}

/**
 * @param outputs visible to requests
 * @throws ModelmountError `CONFIG_INVALID`, `MODEL_UNSUPPORTED`
 */
export function sequencesOf(
  config: Json,
  outputs: readonly Json[],
  isBatched: boolean,
  note: Note,
): Pick<ModelSpec, 'sequences'> {
  if (config.sequence_batching === undefined) return {}
  const batching = object(config.sequence_batching)
  const state = stateOf(objects(batching.state), outputs, isBatched, note)
  const controls = controlsOf(objects(batching.control_input))
  if (state.size + controls.size === 0) {
    note('sequence_batching', 'it names neither state nor control inputs, so each request stands for itself')
    return {}
  }
  for (const strategy of ['direct', 'oldest'])
    for (const [field, reason] of Object.entries(STRATEGY))
      if (Object.hasOwn(object(batching[strategy]), field)) note(`sequence_batching.${strategy}.${field}`, reason)
  for (const [field, reason] of Object.entries(REST)) if (batching[field] === true) note(`sequence_batching.${field}`, reason)
  const idleMs = number(batching.max_sequence_idle_microseconds) / 1000
  const sequences: SequenceOptions = {
    state: Object.fromEntries(state),
    controls: Object.fromEntries(controls),
    idleTimeoutMs: idleMs > 0 ? idleMs : IDLE_MS,
  }
  return { sequences }
}

function stateOf(states: readonly Json[], outputs: readonly Json[], isBatched: boolean, note: Note): Map<string, SequenceState> {
  const found = new Map<string, SequenceState>()
  for (const [i, one] of states.entries()) {
    const path = `sequence_batching.state[${i}]`
    const [input, output] = [string(one.input_name), string(one.output_name)]
    if (!input || !output) throw invalid(path, `${path} must have an input_name and an output_name`)
    if (found.has(input)) throw invalid(path, `${path} is a second state of the input ${JSON.stringify(input)}`)
    const [initial] = objects(one.initial_state)
    // Zeros instead of the file would give wrong answers without an error.
    if (string(initial?.data_file))
      throw unsupported(
        `${path}.initial_state`,
        `${path}.initial_state is a data_file, which is not read; model.json may have it as sequences.state`,
      )
    for (const field of ['use_same_buffer_for_input_output', 'use_growable_memory'])
      if (one[field] === true) note(`${path}.${field}`, 'state is handed to each run as a copy')
    // A variable size begins as 1 unless the file says otherwise.
    const dims = numbers(initial?.dims ?? one.dims).map((dim) => (dim === -1 ? 1 : dim))
    found.set(input, {
      output,
      ...(outputs.some(({ name }) => name === output) ? { returned: true } : {}),
      ...(one.dims === undefined && initial === undefined ? {} : { dims: isBatched ? [-1, ...dims] : dims }),
    })
  }
  return found
}

const KINDS: Readonly<Record<string, SequenceControl['is']>> = {
  CONTROL_SEQUENCE_START: 'start',
  CONTROL_SEQUENCE_READY: 'ready',
  CONTROL_SEQUENCE_END: 'end',
  CONTROL_SEQUENCE_CORRID: 'id',
}

function controlsOf(inputs: readonly Json[]): Map<string, SequenceControl> {
  const found = new Map<string, SequenceControl>()
  for (const [i, input] of inputs.entries()) {
    const path = `sequence_batching.control_input[${i}]`
    const name = string(input.name)
    const [control, ...more] = objects(input.control)
    // START is the first of the enum, and therefore the meaning of a missing kind.
    const is = KINDS[string(control?.kind) || 'CONTROL_SEQUENCE_START']
    if (!name || !control || !is) throw invalid(path, `${path} must have a name and a control`)
    if (more.length > 0) throw unsupported(`${path}.control`, `${path} has several controls, and a tensor tells one`)
    if (found.has(name)) throw invalid(path, `${path} is a second control of the input ${JSON.stringify(name)}`)
    const [no, yes] =
      ['int32_false_true', 'fp32_false_true', 'bool_false_true']
        .map((field) => numbers(control[field]))
        .find(({ length }) => length > 0) ?? []
    if (is === 'id' || no === undefined) found.set(name, { is })
    else if (yes === undefined) throw invalid(path, `${path} must say what stands for no and for yes`)
    else found.set(name, { is, values: [no, yes] })
  }
  return found
}
