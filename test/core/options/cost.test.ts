/** A new option costs two files: the one that declares it, and the one that reads it. No file in between names it to pass it on. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const CORE = fileURLToPath(new URL('../../../src/core', import.meta.url))
const files = (readdirSync(CORE, { recursive: true }) as string[]).filter((file) => file.endsWith('.ts')).sort()

/** Without comments and texts, and without the reader of Triton's files, which has names of its own. */
const code = files
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => !file.startsWith('registry/triton/'))
  .map((file) => {
    const text = readFileSync(join(CORE, file), 'utf8')
    return [file, text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '').replace(/'[^'\n]*'|`[^`]*`/g, "''")] as const
  })

const naming = (option: string): string[] =>
  code.filter(([, text]) => new RegExp(`\\b${option}\\b`).test(text)).map(([file]) => file)

/** Options whose names mean nothing else in the sources, one of each owner. */
test.each([
  ['shareWeights', ['model/options.ts', 'model/weights/policy.ts']],
  ['maxWaitMs', ['scheduler/accepted.ts', 'scheduler/options.ts']],
  // `lowerPriority()` calls its argument by the same name.
  ['niceness', ['engine/options.ts', 'engine/priority.ts', 'engine/worker.ts']],
  // A trial runs on the CPU alone, whatever the option says.
  ['strictProviders', ['engine/options.ts', 'engine/worker.ts', 'trial/attempt.ts']],
  // Read in two places: requests in line for a run, and requests in line for their sequence.
  ['maxQueuePerTenant', ['scheduler/admission.ts', 'scheduler/options.ts', 'sequences/waiting.ts']],
])('%s is named where it is declared and where it is read', (option, expected) => {
  expect(naming(option)).toEqual(expected)
})
