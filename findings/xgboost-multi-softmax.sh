#!/usr/bin/env bash
# onnxmltools: XGBoost "multi:softmax" has probabilities that do not add up to 1
#
# Versions: xgboost 3.2.0, onnxmltools 1.16.0, onnxruntime 1.32.0, Python 3.11.
# Guess: "multi:softmax" and "multi:softprob" fit the same trees; both converted classifiers answer the
# probabilities of predict_proba.
# Happens: "multi:softprob" does. "multi:softmax" answers the raw margins under the name probabilities:
# below 0, above 1, and without the sum 1. Labels agree.
# Matters: Only the labels are right; whatever reads the second output compares margins with thresholds
# for probabilities.
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
y = np.digitize(X[:, 0] + X[:, 1] * X[:, 2], [-0.5, 0.5])
for objective in ("multi:softprob", "multi:softmax"):
    fitted = xgboost.XGBClassifier(objective=objective, n_estimators=20).fit(X, y)
    model = onnxmltools.convert_xgboost(fitted, initial_types=kinds)
    labels, got = run(model, asked)
    gap = np.abs(got - fitted.predict_proba(asked)).max()
    print(f"{objective}: output {model.graph.output[1].name}, largest gap {gap:.3g}, sums from {got.sum(1).min():.3g} to {got.sum(1).max():.3g}")
    assert (labels == fitted.predict(asked)).all()
    assert gap < 1e-5 if objective == "multi:softprob" else gap > 1 and got.min() < 0
PY
