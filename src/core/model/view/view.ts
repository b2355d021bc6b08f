/** One look at a model, and how looks are laid over each other: requests see the outermost, the graph is the innermost. */

import type { ModelSignature, Tensor } from '../../tensor/types.ts'

export type Tensors = Readonly<Record<string, Tensor>>

/** How a model looks from outside, and how tensors get from there to the view below and back. */
export interface View {
  readonly signature: ModelSignature
  /** Inputs that fit `signature`, as the view below takes them. @throws ModelmountError `INPUT_INVALID` */
  down(inputs: Tensors): Tensors
  /** Outputs of the view below as this one shows them; `undefined` where they are the same. */
  readonly up: ((outputs: Tensors) => Record<string, Tensor>) | undefined
}

const asTheyAre = (tensors: Tensors): Tensors => tensors

/** The model as it is: nothing changes on the way. */
export const plainView = (signature: ModelSignature): View => ({ signature, down: asTheyAre, up: undefined })

/** Several views as one, composed once. @param views innermost first, at least one */
export const fold = (views: readonly [View, ...View[]]): View => views.reduce(over)

function over(inner: View, outer: View): View {
  const { up: first } = inner
  const { up: then, signature } = outer
  return {
    signature,
    down:
      outer.down === asTheyAre ? inner.down : inner.down === asTheyAre ? outer.down : (inputs) => inner.down(outer.down(inputs)),
    up: first && then ? (outputs) => then(first(outputs)) : (then ?? first),
  }
}
