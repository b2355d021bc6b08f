/** Classifiers as scikit-learn's converters write them: a label and, behind ZipMap, a dictionary of probabilities for each row. */

import {
  attr,
  type NodePart,
  node,
  type,
  typedValue,
  untypedValue,
  type ValuePart,
  value,
  writeModel,
} from '../../tools/onnx-writer.mjs'

export const ML = { domain: 'ai.onnx.ml' } as const
export type Classes = readonly string[] | readonly bigint[]

type Attributes = NonNullable<Parameters<typeof node>[3]>

const isText = (classes: Classes): classes is readonly string[] => typeof classes[0] === 'string'

export const labelsOf = (classes: Classes): Attributes =>
  isText(classes) ? { classlabels_strings: attr.strings(classes) } : { classlabels_int64s: attr.ints(classes) }

/** Dictionaries, one a row. */
export const dictionaries = (name: string, classes: Classes): ValuePart =>
  typedValue(name, type.sequence(type.map(isText(classes) ? 'string' : 'int64', type.tensor('float', []))))

/** `from` -> `label`, and scores of class c: the sum of the features times c + 1, as the tensor `scores`. */
export const scoring = (classes: Classes, label = 'label', scores = 'scores', from = 'x'): NodePart => {
  const labels: Attributes = isText(classes)
    ? { classlabels_strings: attr.strings(classes) }
    : { classlabels_ints: attr.ints(classes) }
  const coefficients = classes.flatMap((_, c) => [c + 1, c + 1])
  return node(
    'LinearClassifier',
    [from],
    [label, scores],
    { ...labels, coefficients: attr.floats(coefficients), intercepts: attr.floats(classes.map(() => 0)) },
    ML,
  )
}

/** Scores of rows of two features, as the graph gives them. */
export const scoresOf = (rows: readonly (readonly [number, number])[], classes: Classes): number[][] =>
  rows.map(([a, b]) => classes.map((_, c) => (a + b) * (c + 1)))

export const zipMap = (from: string, to: string, classes: Classes): NodePart =>
  node('ZipMap', [from], [to], labelsOf(classes), ML)

export interface GraphParts {
  readonly outputs: readonly ValuePart[]
  readonly nodes: readonly NodePart[]
  readonly irVersion?: number
}

/** x float32 [N, 2] -> what the parts say. */
export const graphOf = ({ outputs, nodes, irVersion = 8 }: GraphParts): Uint8Array =>
  writeModel({
    irVersion,
    opsets: { '': 17, 'ai.onnx.ml': 1 },
    graph: { inputs: [value('x', 'float', ['N', 2])], outputs, nodes },
  })

const label = (classes: Classes): ValuePart => value('label', isText(classes) ? 'string' : 'int64', ['N'])

/** Shapes that exporters and pipelines give to the same model; each answers `label` and `probabilities`. */
export const FORMS: Readonly<Record<string, (classes: Classes) => Uint8Array>> = {
  'behind the classifier': (classes) =>
    graphOf({
      outputs: [label(classes), dictionaries('probabilities', classes)],
      nodes: [scoring(classes), zipMap('scores', 'probabilities', classes)],
    }),
  'behind a Cast': (classes) =>
    graphOf({
      outputs: [label(classes), dictionaries('probabilities', classes)],
      nodes: [
        scoring(classes),
        node('Cast', ['scores'], ['wide'], { to: attr.int(11) }),
        node('Cast', ['wide'], ['narrow'], { to: attr.int(1) }),
        zipMap('narrow', 'probabilities', classes),
      ],
    }),
  'of doubles': (classes) =>
    graphOf({
      outputs: [label(classes), dictionaries('probabilities', classes)],
      nodes: [
        scoring(classes),
        node('Cast', ['scores'], ['wide'], { to: attr.int(11) }),
        zipMap('wide', 'probabilities', classes),
      ],
    }),
  'before Identities': (classes) =>
    graphOf({
      outputs: [label(classes), dictionaries('probabilities', classes)],
      nodes: [
        scoring(classes),
        zipMap('scores', 'zipped', classes),
        node('Identity', ['zipped'], ['once']),
        node('Identity', ['once'], ['probabilities']),
      ],
    }),
  'of a type that is not declared': (classes) =>
    graphOf({
      outputs: [label(classes), untypedValue('probabilities')],
      nodes: [scoring(classes), zipMap('scores', 'probabilities', classes)],
    }),
  'with its tensor as an output too': (classes) =>
    graphOf({
      outputs: [label(classes), dictionaries('probabilities', classes), value('scores', 'float', ['N', classes.length])],
      nodes: [scoring(classes), zipMap('scores', 'probabilities', classes)],
    }),
  'by a format version of today': (classes) =>
    graphOf({
      irVersion: 14,
      outputs: [label(classes), dictionaries('probabilities', classes)],
      nodes: [scoring(classes), zipMap('scores', 'probabilities', classes)],
    }),
  'beside a second one': (classes) =>
    graphOf({
      outputs: [label(classes), dictionaries('probabilities', classes), dictionaries('again', classes)],
      nodes: [scoring(classes), zipMap('scores', 'probabilities', classes), zipMap('scores', 'again', classes)],
    }),
}
