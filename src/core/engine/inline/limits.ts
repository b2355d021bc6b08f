/** Bounds of runs on the host. */

/** Longest run that is expected and taken, in milliseconds: other callbacks of the event loop wait for it. */
export const MOST_MS = 0.05

/** A run that takes this many times as long as expected is the last one, unless its repetition in a worker shows that it was disturbed. */
export const TOO_LONG = 5

/** Largest model. Making a session of a mebibyte holds up the event loop for 2 ms. */
export const MOST_BYTES = 2 ** 20
