#!/usr/bin/env bash
# Raising the opset from 21 to 22 removes every random operator
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: A graph that runs at opset 21 runs at opset 22; Opset 26 is listed as supported.
# Happens: RandomNormal, RandomUniform, Bernoulli and Multinomial load at opset 21 and are "not
# implemented" at opset 22. Bernoulli fails by the name of another operator, RandomUniformLike.
# Matters: An exporter upgrade alone makes a model with sampling or noise unloadable. Version 22 of
# these operators only added the bfloat16 type.
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

graphs = {
    "RandomNormal": "g (float[N] x) => (float[2] y) { y = RandomNormal<shape=[2], seed=1.0>() }",
    "RandomUniform": "g (float[N] x) => (float[2] y) { y = RandomUniform<shape=[2], seed=1.0>() }",
    "Bernoulli": "g (float[N] x) => (float[N] y) { y = Bernoulli<seed=1.0>(x) }",
    "Multinomial": "g (float[1,N] x) => (int32[1,4] y) { y = Multinomial<sample_size=4, seed=1.0>(x) }",
}
for name, text in graphs.items():
    for opset in (21, 22):
        save(f"{name}-{opset}", text, opset)
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  for (const name of ['RandomNormal', 'RandomUniform', 'Bernoulli', 'Multinomial']) {
    await (await load(name + '-21')).release()
    const failure = await load(name + '-22').then(() => 'loads', (error) => error.message)
    console.log(name, 'opset 21: loads; opset 22:', failure.trim())
    assert.match(failure, /NOT_IMPLEMENTED|Could not find an implementation/)
  }
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
