/** Longest time between two turns of the event loop while `work` runs. */
export async function longestStall(work: () => unknown): Promise<number> {
  let [last, longest, running] = [performance.now(), 0, true]
  const turn = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  await new Promise((resolve) => setImmediate(resolve))
  await work()
  await new Promise((resolve) => setImmediate(resolve))
  running = false
  return longest
}
