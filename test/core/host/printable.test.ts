/** Text that comes from files and requests stays on its line wherever it is printed. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ModelmountError } from '../../../src/core/errors.ts'
import { printable } from '../../../src/core/host/printable.ts'
import { createEvents, type ServerEvent } from '../../../src/core/model/events.ts'
import { odd, unprintableIn } from '../../support/odd-names.ts'

test('what is printed has no character that a terminal obeys, and nothing of it is lost', () => {
  fc.assert(
    fc.property(odd, (text) => {
      const shown = printable(text)
      expect(unprintableIn(shown)).toEqual([])
      expect(printable(shown)).toBe(shown)
      if (unprintableIn(text).length === 0) expect(shown).toBe(text)
    }),
  )
})

test('the message of an error is one line, whatever it quotes', () => {
  fc.assert(
    fc.property(odd, (name) => {
      expect(unprintableIn(new ModelmountError('MODEL_NOT_FOUND', `there is no model '${name}'`).message)).toEqual([])
    }),
  )
})

test('every text of every event, and each line of the log, is one line', async () => {
  const of = { model: 'm', version: '1' }
  const eventsWith = (text: string): readonly ServerEvent[] => [
    { type: 'model', ...of, state: 'failed', reason: text },
    { type: 'provider-fallback', ...of, wanted: 'cuda', using: 'cpu', reason: text },
    { type: 'worker-lost', ...of, reason: text, restartInMs: 1 },
    { type: 'start-refused', ...of, reason: text, retryInMs: 1 },
    { type: 'scaled', ...of, instances: 1, reason: 'failed', detail: text },
    { type: 'batching', ...of, state: 'refuted', enabled: false, reason: text, source: 'serving' },
    { type: 'isolation', ...of, isolation: 'process', reason: text },
    { type: 'worker-output', ...of, line: text },
    { type: 'weights', ...of, form: 'plain', reason: text, failed: true },
    { type: 'untried', ...of, reason: text },
    { type: 'integrity', ...of, outcome: 'refused', reason: text },
    { type: 'integrity', ...of, outcome: 'verified', manifestId: 'sha256:0', signer: text },
    { type: 'warning', message: text },
  ]
  await fc.assert(
    fc.asyncProperty(odd, async (text) => {
      const lines: string[] = []
      const log = (line: string): void => void lines.push(line)
      const events = createEvents({ info: log, warn: log, error: log })
      const seen: ServerEvent[] = []
      events.subscribe((event) => seen.push(event))
      const given = eventsWith(text)
      for (const event of given) events.emit(event)
      await Promise.resolve()
      expect(seen).toHaveLength(given.length)
      const texts = seen.flatMap((event) => Object.values(event).filter((value) => typeof value === 'string'))
      for (const shown of [...lines, ...texts]) expect(unprintableIn(shown)).toEqual([])
      expect(lines.length).toBe(given.length)
    }),
  )
})
