/** A model that takes next to no time, so that the way of its large input is what is measured. */

import { node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'

export const IMAGE = [3, 224, 224] as const

/** x float32 [N, 3, 224, 224] -> y [N, 1, 1, 4], its first pixels. */
export const firstPixels = (): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('x', 'float', ['N', ...IMAGE])],
      outputs: [value('y', 'float', ['N', 1, 1, 4])],
      nodes: [node('Slice', ['x', 'starts', 'ends', 'axes'], ['y'])],
      initializers: [
        tensor('starts', 'int64', [3], [0n, 0n, 0n]),
        tensor('ends', 'int64', [3], [1n, 1n, 4n]),
        tensor('axes', 'int64', [3], [1n, 2n, 3n]),
      ],
    },
  })
