#!/usr/bin/env bash
# onnxmltools: an XGBoost regressor of two targets converts to other numbers
#
# Versions: xgboost 3.2.0, onnxmltools 1.16.0, onnxruntime 1.32.0, Python 3.11.
# Guess: A regressor that was fitted on a matrix y with two columns converts to two columns, or the
# converter says that it takes one.
# Happens: It converts without a word. The first column answers the sum over both targets and the second
# answers 0: the trees of all targets are read as those of the first.
# Matters: A model with several targets is common (several horizons of a forecast), and the shape of the
# answer is right.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnxmltools==1.16.0 skl2onnx==1.20.0 onnxruntime==1.32.0 xgboost==3.2.0 scikit-learn==1.9.1
PYTHONWARNINGS=ignore env/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort

ort.set_default_logger_severity(4)
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 4)).astype(np.float32)
asked = rng.normal(size=(300, 4)).astype(np.float32)


def run(model, rows):
    return ort.InferenceSession(model.SerializeToString()).run(None, {model.graph.input[0].name: rows})

import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

kinds = [("x", FloatTensorType([None, 4]))]
y = X @ np.array([1, 2, 3, 4], np.float32)
for targets in (1, 2):
    fitted = xgboost.XGBRegressor(n_estimators=20, max_depth=4).fit(X, y if targets == 1 else np.c_[y, y])
    got = run(onnxmltools.convert_xgboost(fitted, initial_types=kinds), asked)[0]
    wanted = fitted.predict(asked).reshape(300, targets)
    print(f"{targets} target(s): shape {got.shape}", end=", ")
    gap = np.abs(got.reshape(300, -1)[:, : targets] - wanted).max(1)
    print(f"rows that differ {(gap > 1e-2).sum()} of 300, largest difference {gap.max():.3g}")
    print("  xgboost", wanted[0], "converted", got[0])
    if targets == 1:
        assert (gap < 1e-3).all()
    else:
        assert np.abs(got[:, 0] - wanted.sum(1)).max() < 0.1 and (got[:, 1] == 0).all()
PY
