/**
 * The floor and the goal of each row. Missing a floor is red. A floor only moves up, if a gain holds on a busy machine as well. A goal is
 * printed and never red.
 */

import type { Target } from './lib/row.ts'

const MAJOR = Number(process.versions.node.split('.')[0])

/** Node 24's `session.run()` costs more than Node 20's, and so does a message between threads. */
const byNode = (node20: number, node24: number): number => (MAJOR >= 24 ? node24 : node20)

const atLeast = (floor: number, goal: number): Target => ({ op: '>=', floor, goal })
const atMost = (floor: number, goal: number): Target => ({ op: '<=', floor, goal })

export const PROMISES = {
  predict64: atLeast(byNode(2.4, 3.4), byNode(2.8, 4)),
  predict512: atLeast(byNode(4, 4.4), byNode(5, 5.5)),
  hostTime: atMost(0.2, 0.15),
  inProduction: atMost(1.5, 1.2),
  oneCaller: atMost(byNode(1.3, 1.9), byNode(1.1, 1.5)),
  processTier: atMost(3, 3),
  largeInputs: atLeast(1.3, 3),
  handedOver: atLeast(3, 5),
  // 0.77 before a worker was given the next half ahead of time.
  workerFed: atLeast(0.85, 0.92),
  batching5MB: atLeast(0.7, 0.9),
  batching38MB: atLeast(0.8, 0.95),
  cnn: atLeast(0.85, 0.97),
  transformer: atLeast(0.8, 0.97),
  badCallerTiny: atLeast(0.8, 0.9),
  badCaller5MB: atLeast(0.75, 0.85),
  // A request may take 1.2 times as long.
  manyTenants: atLeast(0.83, 0.95),
  overloadAnswers: atLeast(0.85, 0.95),
  overloadAnswersP99: atMost(1.2, 1),
  overloadRefusals: atMost(6, 1),
  // Of 5 ms.
  overloadRefusalsBesideIdle: atMost(2, 1),
  overloadRefusalsFromCall: atMost(1, 1),
  // Node 24 parses numbers about twice as fast as Node 20.
  jsonParse: atLeast(MAJOR < 22 ? 1.8 : 1.1, MAJOR < 22 ? 2.2 : 1.3),
  jsonWrite: atLeast(1.8, 2),
  jsonStall: atMost(1, 1),
  bodyStall: atMost(1, 0.5),
  expressNaive1: atLeast(0.5, 0.95),
  expressNaive8: atLeast(1, 1.6),
  expressNaive64: atLeast(1.4, 2.4),
  expressNaive256: atLeast(1.4, 2.1),
  fastifyNaive1: atLeast(0.85, 0.95),
  fastifyNaive8: atLeast(1.4, 1.6),
  fastifyNaive64: atLeast(2, 2.4),
  fastifyNaive256: atLeast(1.6, 2.1),
  fastifyEcho: atLeast(0.8, 1.2),
  fastifyNodeEcho: atLeast(0.6, 1),
  nodeEcho: atLeast(0.85, 1.3),
  attachEcho: atLeast(0.85, 1.3),
  expressEcho: atLeast(1.3, 1.5),
  nest: atLeast(1.4, 2),
  encoder: atLeast(2, 3),
  image: atLeast(1.5, 1.8),
  binaryFastify: atLeast(0.5, 0.9),
  binaryExpress: atLeast(0.45, 0.9),
  hostIsolation: atMost(0.3, 0.2),
  inline64: atLeast(byNode(6, 7), byNode(9, 10)),
  inline512: atLeast(8, 10),
  inlineOneCaller: atMost(0.4, 0.25),
  inlineIsolationHalf: atMost(1.2, 1),
  inlineIsolationFull: atMost(1.2, 1),
  startTiny: atMost(1.5, 1.2),
  startCnn: atMost(1.7, 1.2),
  idle: atMost(1, 1),
  slowInstance: atMost(1.5, 1.5),
  telemetryMetrics: atLeast(0.9, 0.97),
  telemetrySampled: atLeast(0.85, 0.93),
  telemetryAll: atLeast(0.7, 0.75),
  collection: atMost(1, 1),
  loadSigned: atMost(1.8, 1.5),
  loadKnown: atMost(1.3, 1.1),
  loadEncrypted: atLeast(0.4, 0.6),
  scanSpeed: atLeast(0.4, 0.5),
  scanMemory: atMost(1, 1),
  instanceMemory: atMost(0.15, 0.15),
  sharedSpeed: atLeast(0.85, 0.95),
} as const satisfies Record<string, Target>
