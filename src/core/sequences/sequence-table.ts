/** The open sequences, within their bounds: none is dropped to make room, but one that stays idle for too long is. */

import type { Clock, Timer } from '../host/clock.ts'
import type { Tensor } from '../tensor/types.ts'
import type { SequenceSettings } from './options.ts'
import { tooLarge, tooMany, tooManyOfTenant } from './refusals.ts'
import { createTenantCounts } from './tenant-counts.ts'

/** Tensors by name of the input; `none` before the first request was answered, and once the sequence has ended. */
export type HeldState = Readonly<Record<string, Tensor>> | 'none'

export interface Sequence<Turn = unknown> {
  readonly key: string
  readonly tenant: string
  state: HeldState
  /** Bytes of its state, or bytes reserved for its first. */
  bytes: number
  /** The first one runs, the others wait. Only a sequence without waiting requests ages. */
  readonly line: Turn[]
  usedAt: number
}

export interface SequenceTable<Turn> {
  find(key: string): Sequence<Turn> | undefined
  /** @throws ModelmountError `SEQUENCE_LIMIT`, `QUOTA_EXCEEDED` */
  begin(key: string, tenant: string, bytes: number): Sequence<Turn>
  /**
   * Recounts the bytes of a sequence's state.
   * @throws ModelmountError `SEQUENCE_LIMIT`, and then leaves the old count
   */
  setAside(sequence: Sequence<Turn>, bytes: number): void
  /** Its line is empty. */
  rest(sequence: Sequence<Turn>): void
  /** Drops its state; the sequence itself stays as long as requests are in line. */
  close(sequence: Sequence<Turn>): void
  forget(sequence: Sequence<Turn>): void
  readonly size: number
  readonly bytes: number
  clear(): void
}

/** Longest retry advice: a place may become free at any time. */
const MAX_RETRY_S = 60

export function createSequenceTable<Turn>(
  settings: Omit<SequenceSettings, 'state' | 'controls'>,
  clock: Clock,
): SequenceTable<Turn> {
  const { idleTimeoutMs, maxSequences, maxPerTenant, maxBytes } = settings
  /** Most recently used last. */
  const open = new Map<string, Sequence<Turn>>()
  const byTenant = createTenantCounts()
  let bytes = 0
  let timer: Timer | undefined

  const isOver = ({ line, usedAt }: Sequence<Turn>): boolean => line.length === 0 && usedAt + idleTimeoutMs <= clock.now()

  function setAside(sequence: Sequence<Turn>, needed: number): void {
    const isOverBound = (): boolean => needed > sequence.bytes && bytes - sequence.bytes + needed > maxBytes
    if (isOverBound()) expire()
    if (isOverBound()) throw tooLarge(maxBytes, retryAfterS())
    bytes += needed - sequence.bytes
    sequence.bytes = needed
  }

  function close(sequence: Sequence<Turn>): void {
    sequence.state = 'none'
    setAside(sequence, 0)
  }

  function forget(sequence: Sequence<Turn>): void {
    open.delete(sequence.key)
    byTenant.add(sequence.tenant, -1)
    close(sequence)
  }

  /** Time until the longest idle sequence is forgotten. */
  function retryAfterS(): number {
    for (const { line, usedAt } of open.values())
      if (line.length === 0) return Math.min(MAX_RETRY_S, Math.max(1, Math.ceil((usedAt + idleTimeoutMs - clock.now()) / 1000)))
    return 1
  }

  function expire(): void {
    timer?.cancel()
    timer = undefined
    for (const sequence of open.values()) {
      if (isOver(sequence)) forget(sequence)
      else if (sequence.line.length === 0) {
        watch(sequence)
        return
      }
    }
  }

  /** Does not keep the process alive. */
  function watch({ usedAt }: Sequence<Turn>): void {
    timer ??= clock.after(usedAt + idleTimeoutMs - clock.now(), expire)
  }

  return {
    find(key) {
      const sequence = open.get(key)
      // The timer may be late.
      if (sequence === undefined || !isOver(sequence)) return sequence
      forget(sequence)
      return undefined
    },
    begin(key, tenant, needed) {
      const isFull = (): boolean => open.size >= maxSequences
      const hasEnough = (): boolean => tenant !== '' && byTenant.of(tenant) >= maxPerTenant
      if (isFull() || hasEnough()) expire()
      if (hasEnough()) throw tooManyOfTenant(byTenant.of(tenant), retryAfterS())
      if (isFull()) throw tooMany(open.size, retryAfterS())
      const sequence: Sequence<Turn> = { key, tenant, state: 'none', bytes: 0, line: [], usedAt: clock.now() }
      setAside(sequence, needed)
      open.set(key, sequence)
      byTenant.add(tenant, 1)
      return sequence
    },
    setAside,
    rest(sequence) {
      if (sequence.state === 'none') return forget(sequence)
      sequence.usedAt = clock.now()
      open.delete(sequence.key)
      open.set(sequence.key, sequence)
      watch(sequence)
    },
    close,
    forget,
    get size() {
      return open.size
    },
    get bytes() {
      return bytes
    },
    clear() {
      timer?.cancel()
      timer = undefined
      for (const sequence of open.values()) forget(sequence)
    },
  }
}
