/**
 * Starts instances of one model: from the current form of its weights, or from the model itself if that form cannot be loaded.
 * Each is warmed up before requests get to it.
 */

import { ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import { NO_PATCH } from '../onnx/splice.ts'
import type { OwnedBufferPool } from './buffer-pool.ts'
import type { OpenChannel } from './channel.ts'
import { createInstance, type Instance, type LoadRequest } from './instance.ts'
import type { Loaded } from './messages.ts'

/** Another file of the same model, which instances map instead of each holding a copy. */
export interface SharedForm {
  readonly source: string
  /** False once its files differ from the checked ones. */
  isIntact(): Promise<boolean>
}

export interface Launched {
  readonly instance: Instance
  readonly loaded: Loaded
  /** The form that it loaded; `undefined` for the model itself. */
  readonly form: SharedForm | undefined
  /** Set if its worker went away while it warmed up. */
  readonly lost: string | undefined
}

export interface Launcher {
  /** The form for the next instances; `undefined` for the model itself. */
  readonly form: SharedForm | undefined
  /** True while an instance loads or warms up. */
  readonly busy: boolean
  /** True for an error of `launch()` that only means that the model's files have changed: nothing has crashed. */
  isRefusal(error: unknown): boolean
  use(form: SharedForm): void
  /** Rejects if the model cannot be loaded, if warming up shows that it must not serve, and if `end()` comes first. */
  launch(): Promise<Launched>
  /** Ends current starts, after their running work. */
  end(): Promise<void>
  /** The same at once, if the tier can. */
  kill(reason: string): void
}

export interface LaunchDeps {
  readonly open: OpenChannel
  readonly clock: Clock
  readonly buffers?: OwnedBufferPool | undefined
  /**
   * Rejects if no instance may start, because the model's files differ from those loaded first.
   * @returns a function that checks, once an instance has loaded, whether it loaded those
   */
  checkSource(): Promise<() => Promise<void>>
  /** Warms a new instance up; rejects if it must not serve. */
  prepare(instance: Instance, loaded: Loaded): Promise<void>
  /** The shared form could not be loaded; instances load the model itself from here on. */
  onSharedLost(reason: string): void
  /** The worker of a delivered instance went away. */
  onLost(instance: Instance, reason: string, isInnocent: boolean): void
  onLine(line: string): void
}

/** It is made of the model with its edits. */
export const formed = (request: LoadRequest, { source }: SharedForm): LoadRequest => ({ ...request, source, patch: NO_PATCH })

export function createLauncher(request: LoadRequest, deps: LaunchDeps): Launcher {
  const starting = new Set<Instance>()
  /** Instances that failed to warm up, until they are gone. */
  const dismissed = new Map<Instance, Promise<void>>()
  const ended = new ModelmountError('SERVER_CLOSED', 'the instances of the model are being ended')
  const refusals = new WeakSet<object>()
  const isRefusal = (error: unknown): boolean => typeof error === 'object' && error !== null && refusals.has(error)
  let form: SharedForm | undefined
  let nextId = 1
  let era = 0

  /** Marks this rejection as a refusal. */
  async function asked<T>(question: Promise<T>): Promise<T> {
    try {
      return await question
    } catch (error) {
      if (typeof error === 'object' && error !== null) refusals.add(error)
      throw error
    }
  }

  async function launch(): Promise<Launched> {
    const mine = era
    const confirm = await asked(deps.checkSource())
    const wanted = form
    if (!wanted) return launchFrom(undefined, mine, confirm)
    try {
      if (!(await wanted.isIntact())) throw new ModelmountError('MODEL_LOAD_FAILED', 'its files have changed or gone')
      return await launchFrom(wanted, mine, confirm)
    } catch (error) {
      if (error === ended || isRefusal(error)) throw error
      if (form === wanted) {
        form = undefined
        deps.onSharedLost(error instanceof Error ? error.message : String(error))
      }
      return launchFrom(undefined, mine, confirm)
    }
  }

  async function launchFrom(form: SharedForm | undefined, mine: number, confirm: () => Promise<void>): Promise<Launched> {
    const goOn = (): void => {
      if (era !== mine) throw ended
    }
    goOn()
    let lost: string | undefined
    let handedOut = false
    const instance = createInstance(form ? formed(request, form) : request, {
      id: nextId++,
      open: deps.open,
      clock: deps.clock,
      buffers: deps.buffers,
      onLost(reason, isInnocent) {
        lost = reason
        if (handedOut) deps.onLost(instance, reason, isInnocent)
      },
      onLine: deps.onLine,
    })
    starting.add(instance)
    try {
      const loaded = await instance.loaded
      goOn()
      await asked(confirm())
      goOn()
      await deps.prepare(instance, loaded)
      goOn()
      handedOut = lost === undefined
      return { instance, loaded, form, lost }
    } catch (error) {
      goOn()
      dismiss(instance)
      throw error
    } finally {
      starting.delete(instance)
    }
  }

  /** A hung one is not waited for. */
  function dismiss(instance: Instance): void {
    starting.delete(instance)
    instance.kill('it failed to warm up')
    dismissed.set(
      instance,
      instance.close().finally(() => dismissed.delete(instance)),
    )
  }

  return {
    get form() {
      return form
    },
    get busy() {
      return starting.size > 0
    },
    isRefusal,
    use(next) {
      form = next
    },
    launch,
    async end() {
      era++
      const ending = [...starting]
      starting.clear()
      await Promise.all([...ending.map((instance) => instance.close()), ...dismissed.values()])
    },
    kill(reason) {
      for (const instance of [...starting, ...dismissed.keys()]) instance.kill(reason)
    },
  }
}
