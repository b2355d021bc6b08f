/** Loading and unloading by name, over a real registry and real folders; loads themselves only take their places. */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ModelmountError } from '../../../src/core/errors.ts'
import { createControl } from '../../../src/core/registry/control.ts'
import { createRegistry } from '../../../src/core/registry/registry.ts'
import { scanRepository } from '../../../src/core/registry/repository.ts'
import { type Files, plant, treeFor } from '../../support/tree.ts'

interface Source {
  readonly name: string
  readonly version: string
  readonly source: string | Uint8Array
}

interface Entry {
  readonly name: string
  readonly version: string
  /** `undefined` for a servable of an extension. */
  readonly config: Source | undefined
  readonly state: 'ready'
}

const loaded = (config: Source): Entry => ({ name: config.name, version: config.version, config, state: 'ready' })
const configOf = ({ config }: Entry): Source | undefined => config

function controlOver(files: Files, byHand: (root: string) => readonly Source[] = () => []) {
  const root = treeFor(files)
  const registry = createRegistry<Entry>()
  const outcomes: unknown[] = []
  const warnings: string[] = []
  const loads: string[][] = []
  const fault: { next?: Error } = {}
  for (const config of byHand(root)) registry.set(loaded(config))
  const control = createControl<object, Entry>({
    registry,
    configOf,
    repository: root,
    scan: async () => (await scanRepository(root, 'all')).models.map(({ name, version, source }) => ({ name, version, source })),
    async load(_name, configs) {
      loads.push(configs.map(({ version }) => version))
      if (fault.next) throw fault.next
      for (const config of configs) registry.set(loaded(config))
    },
    drop: async (model) => registry.remove(model),
    async unload(name) {
      for (const model of registry.select(name)) registry.remove(model)
    },
    loaded: (name, failure) => outcomes.push([name, failure]),
    warn: (message) => warnings.push(message),
  })
  const served = (name: string): string[] => registry.versions(name).map(({ version }) => version)
  return { root, control, outcomes, warnings, loads, fault, served }
}

describe('a load by name', () => {
  test('takes what the folder holds now, and drops the versions that are gone from it', async () => {
    const { root, control, served, outcomes } = controlOver({ 'm/1/model.onnx': 'x', 'n/7/model.onnx': 'x' })
    await control.load('m')
    expect([served('m'), served('n')]).toEqual([['1'], []])
    plant(root, { 'm/2/model.onnx': 'x' })
    rmSync(join(root, 'm/1'), { recursive: true })
    await control.load('m')
    expect(served('m')).toEqual(['2'])
    expect(outcomes).toEqual([
      ['m', undefined],
      ['m', undefined],
    ])
  })

  test('keeps what is loaded when the folder is away, and says so', async () => {
    const { root, control, served, outcomes } = controlOver({ 'm/1/model.onnx': 'x' })
    await control.load('m')
    rmSync(join(root, 'm'), { recursive: true })
    await expect(control.load('m')).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
      message: expect.stringContaining('the versions that are loaded stay'),
      details: { model: 'm' },
    })
    expect(served('m')).toEqual(['1'])
    expect(outcomes.at(-1)).toEqual(['m', expect.stringContaining('holds no version')])
    await expect(control.load('x'.repeat(500))).rejects.toMatchObject({
      message: expect.stringContaining('there is no model'),
      details: { model: 'x'.repeat(130) },
    })
  })

  test('that fails drops nothing and is noted with its reason', async () => {
    const { root, control, served, fault, outcomes } = controlOver({ 'm/1/model.onnx': 'x' })
    await control.load('m')
    rmSync(join(root, 'm/1'), { recursive: true })
    plant(root, { 'm/2/model.onnx': 'x' })
    fault.next = new ModelmountError('MODEL_LOAD_FAILED', 'broken')
    await expect(control.load('m')).rejects.toBe(fault.next)
    expect([served('m'), outcomes.at(-1)]).toEqual([['1'], ['m', 'broken']])
  })

  test.each([
    ['bytes', () => Uint8Array.of(1)],
    ['a path elsewhere', () => '/elsewhere/model.onnx'],
    ['a path into a folder whose name only begins like the repository’s', (root: string) => `${root}-more/m.onnx`],
  ])('leaves alone a version that was given by hand as %s', async (_what, source) => {
    const { control, served, loads } = controlOver({ 'm/1/model.onnx': 'x', 'm/2/model.onnx': 'x' }, (root) => [
      { name: 'm', version: '1', source: source(root) },
    ])
    await control.load('m')
    expect([loads, served('m')]).toEqual([[['2']], ['1', '2']])
  })

  test('loads a model again as it was given, where the repository has none of the name', async () => {
    const { control, served, loads } = controlOver({ 'n/1/model.onnx': 'x' }, () => [
      { name: 'm', version: '3', source: Uint8Array.of(1) },
    ])
    await control.load('m')
    expect([loads, served('m')]).toEqual([[['3']], ['3']])
  })

  test('is one with all others of its name that wait while one runs', async () => {
    const { control, loads } = controlOver({ 'm/1/model.onnx': 'x' })
    await Promise.all(Array.from({ length: 5 }, () => control.load('m')))
    expect(loads).toEqual([['1'], ['1']])
  })
})

test('what is absent is what the folder has and the server does not', async () => {
  const { root, control } = controlOver({ 'm/1/model.onnx': 'x' })
  await control.load('m')
  plant(root, { 'm/2/model.onnx': 'x', 'n.onnx': 'x' })
  expect((await control.absent()).map(({ name, version }) => `${name} ${version}`)).toEqual(['m 2', 'n 1'])
})

test('a repository that cannot be read is told in the log, and has nothing absent', async () => {
  const { root, control, warnings, served } = controlOver({ 'm/1/model.onnx': 'x' })
  await control.load('m')
  rmSync(root, { recursive: true })
  await expect(control.load('m')).rejects.toMatchObject({
    code: 'MODEL_LOAD_FAILED',
    message: 'the repository cannot be read',
    cause: { code: 'OPTIONS_INVALID' },
  })
  expect(warnings).toEqual([expect.stringContaining(root)])
  expect(await control.absent()).toEqual([])
  expect(served('m')).toEqual(['1'])
  await control.unload('m')
  expect(served('m')).toEqual([])
})

test('without a repository only what was given by hand is loaded again', async () => {
  const registry = createRegistry<Entry>()
  registry.set(loaded({ name: 'm', version: '1', source: '/some/model.onnx' }))
  registry.set({ name: 'remote', version: '1', config: undefined, state: 'ready' })
  const loads: string[] = []
  const control = createControl<object, Entry>({
    registry,
    configOf,
    repository: undefined,
    scan: async () => [],
    load: async (name) => void loads.push(name),
    drop: async () => {},
    unload: async () => {},
    loaded: () => {},
    warn: () => {},
  })
  await control.load('m')
  expect(loads).toEqual(['m'])
  await expect(control.load('n')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  await expect(control.load('remote'), 'a servable of an extension').rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  expect(loads).toEqual(['m'])
})
