#!/usr/bin/env bash
# onnxmltools: reg_sqrt of LightGBM is dropped, so the model answers square roots
#
# Versions: lightgbm 4.7.0, onnxmltools 1.16.0, onnxruntime 1.32.0, Python 3.11.
# Guess: LGBMRegressor(reg_sqrt=True), which fits the square root of the target, squares its answer after
# conversion as predict() does, or is refused.
# Happens: The converted model answers the root. Where LightGBM predicts 400 it answers 20, with the sign
# of the prediction.
# Matters: The option is meant for targets with a wide range, where the factor is largest; the numbers
# still look plausible.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install onnxmltools==1.16.0 skl2onnx==1.20.0 onnxruntime==1.32.0 lightgbm==4.7.0 scikit-learn==1.9.1
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
import lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

kinds = [("x", FloatTensorType([None, 4]))]
y = (X @ np.array([1, 2, 3, 4], np.float32)) ** 2
for rooted in (False, True):
    fitted = lightgbm.LGBMRegressor(n_estimators=30, reg_sqrt=rooted, verbose=-1).fit(X, y)
    got = run(onnxmltools.convert_lightgbm(fitted, initial_types=kinds), asked)[0].ravel()
    wanted = fitted.predict(asked)
    print(f"reg_sqrt={rooted}: largest answer of LightGBM {wanted.max():.4g}, of the converted model {got.max():.4g}")
    meant = np.sign(wanted) * np.sqrt(np.abs(wanted)) if rooted else wanted
    assert np.allclose(got, meant, atol=1e-3 * np.abs(meant).max())
PY
