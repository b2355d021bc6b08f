#!/usr/bin/env bash
# MLflow's scoring client cannot send the dict of arrays that its docstring takes
#
# Versions: mlflow-skinny 3.17.2 with numpy 2.3.5, pandas 2.3.3 and scipy 1.16.3, Python 3.11.
# Guess: ScoringServerClient.invoke({"x": array}) sends {"inputs": {"x": [...]}}: "a dict of numpy arrays" is among
# the types that its docstring lists, and the server takes such a body.
# Happens: It fails before anything is sent. It goes through the names alone and takes each apart into its letters:
# "too many values to unpack", or for a name of two letters "Incompatible input type" with its first letter.
# Matters: A model with several named inputs cannot be asked through MLflow's own client, whatever serves it; send
# the JSON with an HTTP client.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install mlflow-skinny==3.17.2 numpy==2.3.5 pandas==2.3.3 scipy==1.16.3
env/bin/python - <<'PY'
import numpy as np
from mlflow.utils.proto_json_utils import dump_input_data

def outcome(data):
    try:
        return "sends " + dump_input_data(data, inputs_key="inputs")
    except Exception as error:
        return f"{type(error).__name__}: {error}"

array = np.array([[1.0, 2.0]])
seen = {name: outcome({name: array}) for name in ("features", "xy")}
seen["the array alone"] = outcome(array)
for what, result in seen.items():
    print(f"{what}: {result[:120]}")
assert "too many values to unpack" in seen["features"]
assert "Incompatible input type" in seen["xy"] and "input x" in seen["xy"]
assert seen["the array alone"].startswith("sends")
PY
