#!/usr/bin/env bash
# Two sessions of one process draw the same random numbers, two processes do not
#
# Versions: onnxruntime-node 1.30.0 (CPU), model written with onnx 1.23.2, Node 20 or later, Python 3.11.
# Guess: A random operator without a seed draws other numbers in each session, as the specification has the
# implementation choose a seed.
# Happens: Sessions of one process begin with the same seed and draw the same numbers, run by run. Another process
# draws others.
# Matters: A pool of sessions that sample or add noise answers in duplicates: two instances halve the variety, and
# an average over them hides nothing of the noise.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnx==1.23.2
npm init -y >package.log
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0 >install.log
env/bin/python - <<'PY'
import onnx
from onnx import parser

text = '<ir_version: 10, opset_import: ["" : 21]> g () => (float[4] y) { y = RandomNormal<shape=[4]>() }'
onnx.save(parser.parse_model(text), "noise.onnx")
PY
cat >draw.cjs <<'JS'
const ort = require('onnxruntime-node')
const draw = async (session) => Array.from((await session.run({})).y.data)
const main = async () => {
  const [first, second] = [await ort.InferenceSession.create('noise.onnx'), await ort.InferenceSession.create('noise.onnx')]
  const drawn = { first: [await draw(first), await draw(first)], second: [await draw(second), await draw(second)] }
  console.log(JSON.stringify(drawn))
}
main()
JS
export ORT_DISABLE_TELEMETRY=1
node draw.cjs >one.json
node draw.cjs >two.json
node --input-type=commonjs - <<'JS'
const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const [one, two] = ['one.json', 'two.json'].map((file) => JSON.parse(readFileSync(file, 'utf8')))
console.log('one process:    ', one.first[0].join(' '), '|', one.second[0].join(' '))
console.log('another process:', two.first[0].join(' '))
assert.deepEqual(one.first, one.second)
assert.notDeepEqual(one.first[0], one.first[1])
assert.notDeepEqual(one.first, two.first)
JS
