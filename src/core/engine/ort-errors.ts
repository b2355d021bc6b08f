/**
 * Turns ONNX Runtime's texts into our codes. They carry no code of their own, and they quote paths and raw names.
 * The text itself therefore goes to `cause` only.
 */

import { ModelmountError } from '../errors.ts'
import { printable } from '../host/printable.ts'

const NOT_A_MODEL =
  /protobuf parsing failed|Model data pointer is null|No graph was found in the protobuf|ModelProto does not have a graph|invalid model|Failed to load model with error: .*flatbuffer/i
const UNSUPPORTED =
  /released opsets|is not a registered function\/op|No Op registered|Unsupported data type|NOT_IMPLEMENTED|Could not find an implementation|Unsupported model IR version|Unknown model file format version/i

/** With the name that the C++ library did not find: `Failed to construct locale with name:en_US.UTF-8:…`. */
const NO_LOCALE = /construct locale with name:\s*([\w@.-]{1,40})/

/** Texts of providers or models that cannot start. */
export function loadError(text: string): ModelmountError {
  const safe = printable(text).slice(0, 1000)
  const opts = { cause: new Error(safe) }
  if (NOT_A_MODEL.test(text))
    return new ModelmountError('MODEL_INVALID', `ONNX Runtime cannot read the file as a model: ${safe}`, opts)
  if (UNSUPPORTED.test(text))
    return new ModelmountError('MODEL_UNSUPPORTED', `ONNX Runtime cannot serve this model: ${safe}`, opts)
  const locale = NO_LOCALE.exec(text)?.[1]
  if (locale !== undefined) return new ModelmountError('MODEL_LOAD_FAILED', localeAdvice(locale), opts)
  return new ModelmountError('MODEL_LOAD_FAILED', `ONNX Runtime could not load the model: ${safe}`, opts)
}

const OUT_OF_MEMORY = /allocate|bad_alloc|out of memory/i
/** A kernel or the input check refused. Kernels are deterministic and the model is loaded, so the input must be wrong. */
const REFUSED_INPUT =
  /Non-zero status code returned while running|Got invalid dimensions|Invalid rank for input|Unexpected input data type|INVALID_ARGUMENT/i

/** A run that failed inside ONNX Runtime. The message is fixed: ONNX Runtime's own text may quote the model. */
export function runError(text: string): ModelmountError {
  const opts = { cause: new Error(printable(text).slice(0, 2000)) }
  return REFUSED_INPUT.test(text) && !OUT_OF_MEMORY.test(text)
    ? new ModelmountError(
        'INPUT_REJECTED',
        'the model refused these inputs while running: shapes that do not go together, or a value out of range',
        opts,
      )
    : new ModelmountError('INFERENCE_FAILED', 'the model failed while running', opts)
}

/** Text models (StringNormalizer, TfidfVectorizer, Tokenizer) compare letters by locale. Slim images hold only C. */
function localeAdvice(locale: string): string {
  const [language = 'en_US', charset = 'UTF-8'] = locale.split('.')
  const make = `apt-get install -y locales && localedef -i ${language} -f ${charset} ${locale}`
  return (
    `the model needs the locale ${locale}, which this machine lacks. On Debian, Ubuntu and node:*-slim run: ${make}. ` +
    'In an image without apt, copy the folder that localedef makes from one with it, and set LOCPATH to its parent before Node starts. ' +
    'Images of Alpine have no such locales, and no ONNX Runtime either: take one of Debian'
  )
}
