/** Callers that wait for their answer before they ask again. */

type Call = (index: number) => Promise<unknown>

/** Calls per second of `callers` concurrent callers over `ms` milliseconds. */
export async function closedLoop(callers: number, ms: number, call: Call): Promise<number> {
  let calls = 0
  let stop = false
  const timer = setTimeout(() => {
    stop = true
  }, ms)
  const start = performance.now()
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (!stop) await call(calls++)
    }),
  )
  clearTimeout(timer)
  return (calls * 1000) / (performance.now() - start)
}

/** `total` calls by `callers` concurrent callers. */
export async function callTimes(callers: number, total: number, call: Call): Promise<void> {
  let calls = 0
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (calls < total) await call(calls++)
    }),
  )
}

/** Milliseconds of each call of one caller over `ms` milliseconds. */
export async function latencies(ms: number, call: Call): Promise<number[]> {
  const samples: number[] = []
  const end = performance.now() + ms
  for (let now = performance.now(); now < end; ) {
    await call(samples.length)
    const after = performance.now()
    samples.push(after - now)
    now = after
  }
  return samples
}

/** Microseconds for which a call keeps the event loop busy, of `callers` concurrent callers over `ms` milliseconds. */
export async function busyMicroseconds(callers: number, ms: number, call: Call): Promise<number> {
  let calls = 0
  const before = performance.eventLoopUtilization()
  await closedLoop(callers, ms, (i) => {
    calls++
    return call(i)
  })
  return (performance.eventLoopUtilization(before).active * 1000) / calls
}
