#!/usr/bin/env bash
# skl2onnx: weights="distance" of nearest neighbours is dropped in silence
#
# Versions: scikit-learn 1.9.1, skl2onnx 1.20.0, onnxruntime 1.32.0, Python 3.11.
# Guess: The converted KNeighborsRegressor weighs its neighbours by the inverse distance, or the option is
# refused.
# Happens: It answers the plain mean of the neighbours, exactly as with weights="uniform". At 0.25,
# between points with the values 0 and 1, it answers 0.5 where scikit-learn answers 0.25. A point of the
# training set no longer gets its own value back.
# Matters: The model interpolates worse than the one that was validated, and nothing in the file or the
# log says so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install scikit-learn==1.9.1 skl2onnx==1.20.0 onnxruntime==1.32.0
PYTHONWARNINGS=ignore env/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort

ort.set_default_logger_severity(4)
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 4)).astype(np.float32)
asked = rng.normal(size=(300, 4)).astype(np.float32)


def run(model, rows):
    return ort.InferenceSession(model.SerializeToString()).run(None, {model.graph.input[0].name: rows})

from skl2onnx import to_onnx
from sklearn.neighbors import KNeighborsRegressor

line = np.array([[0], [1], [2], [3]], np.float32)
fitted = KNeighborsRegressor(2, weights="distance").fit(line, line[:, 0])
between = np.array([[0.25], [0.9], [2.0]], np.float32)
got, wanted = run(to_onnx(fitted, line), between)[0].ravel(), fitted.predict(between)
print("scikit-learn:", wanted, "converted:", got)
assert np.allclose(wanted, [0.25, 0.9, 2.0]) and np.allclose(got, [0.5, 0.5, 1.5])

y = X @ np.array([1, 2, 3, 4], np.float32)
for metric in ("euclidean", "manhattan"):
    converted = run(to_onnx(KNeighborsRegressor(5, weights="distance", metric=metric).fit(X, y), X[:1]), asked)[0].ravel()
    uniform = KNeighborsRegressor(5, weights="uniform", metric=metric).fit(X, y).predict(asked)
    weighted = KNeighborsRegressor(5, weights="distance", metric=metric).fit(X, y).predict(asked)
    print(metric, "beside uniform:", np.abs(converted - uniform).max(), "beside distance:", np.abs(converted - weighted).max())
    assert np.abs(converted - uniform).max() < 1e-4 and np.abs(converted - weighted).max() > 0.3
PY
