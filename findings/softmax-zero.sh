#!/usr/bin/env bash
# SOFTMAX_ZERO of a row of zeros is NaN
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: The post transform keeps zeros as zeros and normalises the others, so a row of zeros stays
# zeros.
# Happens: A LinearClassifier with post_transform SOFTMAX_ZERO answers [NaN, NaN, NaN] for an all-zero
# row; SOFTMAX answers thirds.
# Matters: An empty feature row (no known word, no known category) gives NaN probabilities beside a
# valid label.
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

for name, post in (("plain", "SOFTMAX"), ("zero", "SOFTMAX_ZERO")):
    save(name, "g (float[N,2] x) => (int64[N] label, float[N,3] p) { label, p = ai.onnx.ml.LinearClassifier<coefficients=[1.0,1.0,-1.0,-1.0,2.0,0.0], intercepts=[0.0,0.0,0.0], classlabels_ints=[7,8,9], post_transform=\"" + post + "\">(x) }", extra=', "ai.onnx.ml" : 3')
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  for (const name of ['plain', 'zero']) {
    const { label, p } = await (await load(name)).run({ x: new ort.Tensor('float32', [0, 0, 1, 1], [2, 2]) })
    console.log(name, 'labels', [...label.data], 'probabilities', [...p.data])
    assert.equal(Number.isNaN(p.data[0]), name === 'zero')
    assert.ok(p.data[3] > 0)
  }
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
