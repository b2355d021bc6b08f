/** A text generator: its first output comes with the answer, the further ones by a stream. A sketch that compiles. */

import type { Answer, Extension, Servable, Tensors } from 'modelmount/extension'

interface GeneratorOptions {
  readonly name: string
  /** One token after the other. */
  tokens(prompt: string, signal: { readonly aborted: boolean } | undefined): AsyncIterable<string>
}

const asTensors = (text: string): Tensors => ({ text_output: { type: 'string', dims: [1], data: [text] } })

export function generator({ name, tokens }: GeneratorOptions): Extension {
  let last = 0
  const servable: Servable = {
    name,
    version: '1',
    kind: 'generator',
    state: 'ready',
    available: true,
    signature: {
      inputs: [{ name: 'text_input', type: 'string', declaredType: 'string', dims: [1] }],
      outputs: [{ name: 'text_output', type: 'string', declaredType: 'string', dims: [1] }],
    },
    info: () => ({ doc: 'Goes on with a text.' }),
    async run({ inputs, signal, at }): Promise<Answer> {
      const [prompt = ''] = (inputs.text_input?.data ?? []) as readonly string[]
      const all = tokens(prompt, signal)[Symbol.asyncIterator]()
      const first = await all.next()
      const stream = { [Symbol.asyncIterator]: () => ({ next: async () => outputOf(await all.next()) }) }
      return {
        outputs: asTensors(first.done ? '' : first.value),
        queueMs: 0,
        inferMs: 0,
        batchSize: 1,
        endedAt: at,
        run: { batchId: ++last, runMs: 0, tier: 'worker' },
        stream,
      }
    },
    drain: async () => {},
  }
  return { apiVersion: 1, name: 'generation', servables: [servable] }
}

const outputOf = (step: IteratorResult<string>): IteratorResult<Tensors> =>
  step.done ? { done: true, value: undefined } : { done: false, value: asTensors(step.value) }
