/** The rooms whose tests a mutation run judges, and the tests that hold each of them. */

export interface Room {
  /** Folder below src/. */
  readonly folder: string
  /** Globs of the tests beside it. Only those that cover a mutant run for it. */
  readonly near: readonly string[]
  /** Globs of tests of the whole, which find more and take ten times as long: with `--far`. */
  readonly far: readonly string[]
}

const whole = (...names: readonly string[]): readonly string[] => names.map((name) => `test/integration/${name}*.test.ts`)

export const ROOMS: Readonly<Record<string, Room>> = {
  scheduler: {
    folder: 'core/scheduler',
    near: ['test/core/scheduler/*.test.ts'],
    far: whole('batching', 'padding', 'neighbours'),
  },
  engine: {
    folder: 'core/engine',
    near: ['test/core/engine/*.test.ts', 'test/core/host/problems*.test.ts'],
    far: whole('instances', 'process-tier', 'predict'),
  },
  cache: { folder: 'core/cache', near: ['test/core/cache/*.test.ts'], far: whole('cache') },
  integrity: { folder: 'core/integrity', near: ['test/core/integrity/*.test.ts'], far: whole('trust') },
  crypto: { folder: 'core/crypto', near: ['test/core/crypto/*.test.ts'], far: whole('encrypted') },
  registry: {
    folder: 'core/registry',
    near: ['test/core/registry/*.test.ts'],
    far: whole('registry', 'model-files', 'version-labels'),
  },
  lane: { folder: 'adapters/lane', near: ['test/adapters/lane*.test.ts'], far: ['test/adapters/conformance*.test.ts'] },
  client: { folder: 'client', near: ['test/client/*.test.ts'], far: whole('client-types') },
}

export interface Part {
  readonly room: Room
  /** Globs of what is mutated. */
  readonly mutate: string
}

/**
 * @param name a room, or a file of it without its ending: `cache`, `cache/key`
 * @throws Error that names the rooms
 */
export function partOf(name: string): Part {
  const [first = '', ...file] = name.split('/')
  const room = Object.hasOwn(ROOMS, first) ? ROOMS[first] : undefined
  if (!room) throw new Error(`unknown: ${name || 'no room'}; rooms are ${Object.keys(ROOMS).join(', ')}`)
  return { room, mutate: `src/${room.folder}/${file.length > 0 ? `${file.join('/')}.ts` : '**/*.ts'}` }
}
