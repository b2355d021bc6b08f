/** Child processes that answer one message at a time over Node's IPC. Both ends of it. */

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Child<Ask, Answer> {
  ask(message: Ask): Promise<Answer>
  stop(): Promise<void>
}

type Reply = { readonly answer: unknown } | { readonly error: string }

/**
 * @param file relative to bench/
 * @param env on top of the parent's
 */
export function startChild<Ask, Answer>(
  file: string,
  nodeFlags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Child<Ask, Answer> {
  const child = fork(fileURLToPath(new URL(`../${file}`, import.meta.url)), [], {
    // The parent's flags load the TypeScript compiler.
    execArgv: [...process.execArgv, ...nodeFlags],
    env: { ...process.env, NODE_ENV: 'production', ORT_DISABLE_TELEMETRY: '1', ...env },
    serialization: 'advanced',
  })
  let settle: { resolve(answer: Answer): void; reject(error: Error): void } | undefined
  const exited = new Promise<void>((resolve) => {
    child.on('exit', (code, signal) => {
      settle?.reject(new Error(`${file} ended with ${signal ?? code}`))
      resolve()
    })
  })
  child.on('message', (reply: Reply) => {
    if ('error' in reply) settle?.reject(new Error(`${file}: ${reply.error}`))
    else settle?.resolve(reply.answer as Answer)
  })
  return {
    ask: (message) =>
      new Promise((resolve, reject) => {
        if (child.exitCode !== null) reject(new Error(`${file} has ended`))
        settle = { resolve, reject }
        child.send(message as object)
      }),
    async stop() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}

/** The child's end. A child whose parent is gone has nothing left to do. */
export function answerParent<Ask, Answer>(handle: (message: Ask) => Promise<Answer>): void {
  process.on('disconnect', () => process.exit(0))
  process.on('message', (message) => {
    handle(message as Ask).then(
      (answer) => process.send?.({ answer }),
      (error: unknown) => process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
}
