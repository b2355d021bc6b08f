#!/usr/bin/env bash
# onnxruntime-web runs native code once onnxruntime-node is loaded beside it
#
# Versions: onnxruntime-node and onnxruntime-web 1.30.0, model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: Two packages are two runtimes: a session made with onnxruntime-web runs in WebAssembly.
# Happens: Both register in one table of the shared package onnxruntime-common. After onnxruntime-node
# is loaded, a session that onnxruntime-web makes without naming a provider runs on the native CPU
# provider, which the cast of NaN tells.
# Matters: Tests of browser code that run in Node check another runtime than the browser has; a
# fallback to WebAssembly is none.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnx==1.23.2
npm init -y >package.log
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0 onnxruntime-web@1.30.0 >install.log
env/bin/python - <<'PY'
import onnx
from onnx import parser

def save(name, text, opset=21, extra=""):
    head = f'<ir_version: 10, opset_import: ["" : {opset}{extra}]>\n'
    onnx.save(parser.parse_model(head + text), name + ".onnx")


save("m", "g (float[N] x) => (int32[N] y) { y = Cast<to=6>(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const web = require('onnxruntime-web')
  web.env.wasm.numThreads = 1
  const model = require('node:fs').readFileSync('m.onnx')
  const ask = async (options) => {
    const session = await web.InferenceSession.create(model, options)
    const { y } = await session.run({ x: new web.Tensor('float32', [NaN], [1]) })
    return y.data[0]
  }
  const [unnamed, native, wasm] = [await ask({}), await ask({ executionProviders: ['cpu'] }), await ask({ executionProviders: ['wasm'] })]
  console.log('onnxruntime-web casts NaN to', { unnamed, native, wasm })
  assert.equal(unnamed, native)
  assert.notEqual(unnamed, wasm)
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
