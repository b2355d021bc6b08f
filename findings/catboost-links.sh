#!/usr/bin/env bash
# CatBoost exports to ONNX leave out the last step of several objectives
#
# Versions: catboost 1.2.10, onnxruntime 1.32.0, Python 3.11.
# Guess: save_model(format="onnx") writes a model that answers as predict() and predict_proba() do, or
# refuses the objective.
# Happens: Poisson and Tweedie regressors lack the exponential, and MultiClassOneVsAll lacks its
# sigmoids. RMSE and MultiClass agree.
# Matters: Expected counts come out as logarithms, negative ones included; nothing warns.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install catboost==1.2.10 onnxruntime==1.32.0
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

from catboost import CatBoostClassifier, CatBoostRegressor


class File:
    """A model file with the interface that `run` wants."""

    def __init__(self, fitted):
        fitted.save_model("model.onnx", format="onnx")

    def SerializeToString(self):
        return open("model.onnx", "rb").read()


def answers(fitted):
    model = ort.InferenceSession(File(fitted).SerializeToString())
    return model.run(None, {model.get_inputs()[0].name: asked})


quiet = {"iterations": 20, "verbose": 0, "allow_writing_files": False}
target = X[:, 0] * 2 + X[:, 1]
for loss, y in (("RMSE", target), ("Poisson", abs(target)), ("Tweedie:variance_power=1.5", abs(target))):
    fitted = CatBoostRegressor(loss_function=loss, **quiet).fit(X, y)
    print(loss, end=": ")
    gap = differ(answers(fitted)[0], fitted.predict(asked))
    assert ((gap > 1e-3).mean() > 0.9) == (loss != "RMSE")
for loss in ("MultiClass", "MultiClassOneVsAll"):
    fitted = CatBoostClassifier(loss_function=loss, **quiet).fit(X, rng.integers(0, 3, 400))
    print(loss, end=": ")
    got = [[row[name] for name in fitted.classes_] for row in answers(fitted)[1]]
    gap = differ(got, fitted.predict_proba(asked))
    assert ((gap > 1e-3).mean() > 0.9) == (loss == "MultiClassOneVsAll")
PY
