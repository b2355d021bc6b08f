/** Waiting for what takes no time but turns of the event loop; nothing of modelmount is loaded for it. */

/** `settled` tells whether the promise has an outcome yet. */
export function observe<T>(promise: Promise<T>): { readonly promise: Promise<T>; readonly settled: boolean } {
  let settled = false
  const done = (): void => {
    settled = true
  }
  promise.then(done, done)
  return {
    promise,
    get settled() {
      return settled
    },
  }
}

/** Lets whatever is under way go on for two turns of the event loop. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve))
}
