#!/usr/bin/env bash
# StringSplit without a delimiter splits at spaces only
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: The operator splits at runs of white space, as its documentation says and Python does.
# Happens: "a\tb" and "a\nb" stay one piece; "a  b" is two.
# Matters: Text with tabs or line breaks gives other tokens than the Python code that the graph was
# made from.
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

save("m", "g (string[N] x) => (string[N,M] y, int64[N] n) { y, n = StringSplit(x) }")
PY
ORT_DISABLE_TELEMETRY=1 node --input-type=commonjs - <<'JS'
const ort = require('onnxruntime-node')
const assert = require('node:assert/strict')
const load = (name) => ort.InferenceSession.create(name + '.onnx', { logSeverityLevel: 4 })
const main = async () => {
  const texts = ['a\tb', 'a\nb', 'a  b']
  const { n } = await (await load('m')).run({ x: new ort.Tensor('string', texts, [3]) })
  console.log(texts.map((text, i) => JSON.stringify(text) + ': ' + n.data[i] + ' pieces').join(', '))
  assert.deepEqual([...n.data], [1n, 1n, 2n])
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS
