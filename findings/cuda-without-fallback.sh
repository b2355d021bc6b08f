#!/usr/bin/env bash
# A list of providers is no list of fallbacks in Node
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: executionProviders: ['cuda', 'cpu'] uses the GPU where there is one and the CPU elsewhere, as
# the Python package does with a warning.
# Happens: Where the CUDA library is absent, the session is refused. The order of the list changes
# nothing.
# Matters: An image that was tested with a GPU does not start on a machine without one.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnx==1.23.2
npm init -y >package.log
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0 >install.log
env/bin/python - <<'PY'
import onnx
from onnx import parser

def save(name, text, opset=21, extra=""):
    head = f'<ir_version: 10, opset_import: ["" : {opset}{extra}]>\n'
    onnx.save(parser.parse_model(head + text), name + ".onnx")

save("m", "g (float[N] x) => (float[N] y) { y = Identity(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const create = (executionProviders) =>
    ort.InferenceSession.create('m.onnx', { executionProviders, logSeverityLevel: 4 }).then(() => 'created', (error) => error.message)
  for (const list of [['cuda', 'cpu'], ['cpu', 'cuda'], ['cpu']]) {
    const outcome = await create(list)
    console.log(list.join(', '), '->', outcome)
    assert.equal(outcome === 'created', !list.includes('cuda'))
  }
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
