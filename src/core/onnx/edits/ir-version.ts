/** Lowers the format version: today's `onnx` writes one unknown to ONNX Runtime, even for files that use nothing of it. */

import { LOWERED_IR_VERSION, MAX_IR_VERSION } from '../support.ts'
import { varint } from './changes.ts'
import type { Draft } from './draft.ts'

export function lowerIrVersion({ facts, layout, newer, changes, edits }: Draft): void {
  const { irVersion: place } = layout
  if (facts.irVersion !== LOWERED_IR_VERSION || newer !== undefined || !place) return
  changes.push({ at: place.body, end: place.end, bytes: varint(MAX_IR_VERSION), within: [] })
  edits.push({
    edit: 'ir-version',
    target: 'ir_version',
    detail: `lowered from ${LOWERED_IR_VERSION} to ${MAX_IR_VERSION}, of which nothing newer is used`,
  })
}
