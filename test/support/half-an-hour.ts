/** Ends a run of the long tests that would outlast its budget, before a CI job is ended from outside without a word. */

const BUDGET_MINUTES = 30

export default function setup(): () => void {
  const timer = setTimeout(() => {
    console.error(`the long tests have taken more than ${BUDGET_MINUTES} minutes`)
    process.exit(1)
  }, BUDGET_MINUTES * 60_000)
  timer.unref()
  return () => clearTimeout(timer)
}
