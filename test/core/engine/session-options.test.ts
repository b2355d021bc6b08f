import { expect, test } from 'vitest'
import { ortSessionOptions, providerRequest } from '../../../src/core/engine/session-options.ts'

const SPINNING = ['session.intra_op.allow_spinning', 'session.inter_op.allow_spinning'] as const

test('by default a run has one thread, which does not spin, and nothing is logged or kept', () => {
  expect(ortSessionOptions({})).toEqual({
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    enableCpuMemArena: false,
    enableMemPattern: false,
    logSeverityLevel: 4,
    extra: Object.fromEntries(SPINNING.map((name) => [name, '0'])),
  })
})

test('what is asked for is passed on in the spelling of ONNX Runtime', () => {
  const given = {
    intraOpNumThreads: 3,
    interOpNumThreads: 2,
    graphOptimizationLevel: 'basic',
    executionMode: 'parallel',
    enableCpuMemArena: true,
    enableMemPattern: false,
  } as const
  expect(ortSessionOptions({ ...given, allowSpinning: true, disablePrepacking: true, denormalAsZero: true })).toEqual({
    ...given,
    logSeverityLevel: 4,
    extra: {
      ...Object.fromEntries(SPINNING.map((name) => [name, '1'])),
      'session.disable_prepacking': '1',
      'session.set_denormal_as_zero': '1',
    },
  })
})

test('one of arena and patterns stands for both', () => {
  expect(ortSessionOptions({ enableMemPattern: true })).toMatchObject({ enableCpuMemArena: true, enableMemPattern: true })
  expect(ortSessionOptions({ enableCpuMemArena: true })).toMatchObject({ enableCpuMemArena: true, enableMemPattern: true })
})

test('a provider may have a device', () => {
  expect(providerRequest('cpu')).toEqual({ name: 'cpu' })
  expect(providerRequest({ name: 'cuda', deviceId: 1 })).toEqual({ name: 'cuda', deviceId: 1 })
})
