#!/usr/bin/env bash
# mlflow-skinny's scoring client needs scipy, which it does not depend on
#
# Versions: mlflow-skinny 3.17.2 with numpy 2.3.5 and pandas 2.3.3, without scipy, Python 3.11.
# Guess: The client looks whether scipy is there, and goes on without it: the code asks find_spec("scipy.sparse").
# Happens: find_spec imports the parent package first, so where scipy is missing the look itself raises
# ModuleNotFoundError. Nothing can be sent, arrays and data frames neither.
# Matters: The light package is the one for small images that only send requests. The first request fails, not the
# import, so that a test that imports the client passes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install mlflow-skinny==3.17.2 numpy==2.3.5 pandas==2.3.3
env/bin/python - <<'PY'
import numpy as np
import pandas as pd
from mlflow.utils.proto_json_utils import dump_input_data

def outcome(data):
    try:
        return "sends " + dump_input_data(data)
    except ModuleNotFoundError as error:
        return f"ModuleNotFoundError: {error}"

for what, data in {"array": np.ones((1, 2)), "data frame": pd.DataFrame({"x": [1.0]})}.items():
    result = outcome(data)
    print(f"{what}: {result[:100]}")
    assert result == "ModuleNotFoundError: No module named 'scipy'"
PY
