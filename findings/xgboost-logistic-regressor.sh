#!/usr/bin/env bash
# onnxmltools: an XGBoost "reg:logistic" regressor answers raw margins
#
# Versions: xgboost 3.2.0, onnxmltools 1.16.0, onnxruntime 1.32.0, Python 3.11.
# Guess: The sigmoid of the objective is part of the converted model, as it is for "binary:logistic"
# classifiers and as the exponential is for "count:poisson".
# Happens: The converted regressor answers the margin before the sigmoid: values beyond 1 and below 0.
# Matters: A score that was a probability is none any more, and a threshold of 0.5 means another one.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnxmltools==1.16.0 skl2onnx==1.20.0 onnxruntime==1.32.0 xgboost==3.2.0 scikit-learn==1.9.1
PYTHONWARNINGS=ignore env/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 4)).astype(np.float32)
asked = rng.normal(size=(500, 4)).astype(np.float32)


def run(model):
    opts = ort.SessionOptions()
    opts.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), opts).run(None, {"x": asked})


def differ(got, wanted, tolerance=1e-3):
    gap = np.abs(np.asarray(got, float).reshape(wanted.shape) - wanted).reshape(len(wanted), -1).max(1)
    print(f"rows that differ: {(gap > tolerance).sum()} of {len(gap)}, largest difference {gap.max():.3f}")
    return gap

import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

kinds = [("x", FloatTensorType([None, 4]))]
y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)
for objective in ("count:poisson", "reg:logistic"):
    fitted = xgboost.XGBRegressor(objective=objective, n_estimators=20).fit(X, y)
    got = run(onnxmltools.convert_xgboost(fitted, initial_types=kinds))[0]
    print(objective, end=": ")
    gap = differ(got, fitted.predict(asked))
    assert ((gap > 1e-3).mean() > 0.9) == (objective == "reg:logistic")
print("smallest and largest answer:", got.min(), got.max())
assert got.min() < 0 and got.max() > 1
PY
