#!/usr/bin/env bash
# A scikit-learn classifier that is converted with doubles does not load
#
# Versions: scikit-learn 1.9.1, skl2onnx 1.20.0, onnxruntime 1.32.0, Python 3.11.
# Guess: to_onnx(model, X[:1]) with X of float64, which is NumPy's own type, gives a file that loads.
# Happens: By default the graph ends with ZipMap, which takes floats, and here it is given doubles:
# ONNX Runtime refuses the graph. With float32 samples, or with zipmap=False, it loads.
# Matters: Data sets come as float64, and ZipMap is the default; the converter does not warn.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install \
  scikit-learn==1.9.1 skl2onnx==1.20.0 onnxruntime==1.32.0
PYTHONWARNINGS=ignore env/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

X, y = load_iris(return_X_y=True)


def loads(samples, options=None):
    fitted = LogisticRegression(max_iter=500).fit(samples, y)
    model = to_onnx(fitted, samples[:1], options=options)
    try:
        ort.InferenceSession(model.SerializeToString())
        return True
    except Exception as error:
        print(str(error).split("Type Error: ")[-1][:120])
        return False


single, double = loads(X.astype(np.float32)), loads(X)
bare = loads(X, {LogisticRegression: {"zipmap": False}})
print(f"float32 loads: {single}, float64 loads: {double}, float64 without ZipMap loads: {bare}")
assert single and bare and not double
PY
