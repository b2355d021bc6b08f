#!/usr/bin/env bash
# skl2onnx: MaxAbsScaler(clip=True) does not clip, MinMaxScaler(clip=True) does
#
# Versions: scikit-learn 1.9.1, skl2onnx 1.20.0, onnxruntime 1.32.0, Python 3.11.
# Guess: Both scalers have the option clip; both convert with it, or the converter refuses the one that it
# does not know.
# Happens: The converted MinMaxScaler clips. The converted MaxAbsScaler scales alone: values outside the
# training range leave it above 1 and below -1.
# Matters: The option is there to keep outliers away from the next step, and it is lost just for outliers:
# test data within the training range shows no difference.
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
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler

for scaler in (MinMaxScaler(clip=True), MaxAbsScaler(clip=True)):
    fitted = scaler.fit(X)
    model = to_onnx(fitted, X[:1])
    inside, outside = X, 2 * X
    gaps = [np.abs(run(model, rows)[0] - fitted.transform(rows)).max() for rows in (inside, outside)]
    print(f"{type(scaler).__name__}: largest difference inside {gaps[0]:.2g}, outside {gaps[1]:.2g}")
    assert gaps[0] < 1e-5
    assert gaps[1] > 0.9 if isinstance(scaler, MaxAbsScaler) else gaps[1] < 1e-5
print("largest magnitude that leaves the converted MaxAbsScaler:", np.abs(run(model, outside)[0]).max())
PY
