"""MLflow's own scoring client against `modelmount serve --dialects mlflow` of one model. Usage: mlflow_scoring.py HOST:PORT

The model is `doubled`: features float32 [N, 4] -> scores, twice the features.
"""

import json
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import requests
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

host, port = sys.argv[1].split(":")
client = ScoringServerClient(host, int(port))
client.wait_server_ready(timeout=10, scoring_server_proc=None)
print("  ok ping")

rows = np.array([[1, 2, 3, 4], [0.5, 0, -1, 8]], dtype=np.float32)
frame = pd.DataFrame(rows, columns=["a", "b", "c", "d"])
flat = (rows * 2).reshape(-1).tolist()

# A DataFrame goes as dataframe_split and comes back as the flat columns of MLflow's ONNX flavour.
answer = client.invoke(frame).get_predictions()
assert isinstance(answer, pd.DataFrame) and answer["scores"].tolist() == flat, answer
print("  ok DataFrame")

answer = client.invoke(rows.tolist()).get_predictions(predictions_format="ndarray")
assert np.array_equal(np.array(answer.item()["scores"] if answer.dtype == object else answer), rows * 2), answer
print("  ok list")

# json.dumps writes bare NaN and Infinity into the request, and reads them in the answer.
odd = np.array([[np.nan, np.inf, -np.inf, 0.5]], dtype=np.float32)
answer = client.invoke(pd.DataFrame(odd)).get_predictions()
assert np.array_equal(np.array(answer["scores"], dtype=np.float32), (odd * 2).reshape(-1), equal_nan=True), answer
print("  ok DataFrame with NaN")
for data in (odd, odd.tolist()):
    answer = client.invoke(data).get_predictions(predictions_format="ndarray")
    answer = np.array(answer.item()["scores"] if answer.dtype == object else answer, dtype=np.float32)
    assert np.array_equal(answer, odd * 2, equal_nan=True), answer
print("  ok array and list with NaN")

# Everything that pandas reads as missing.
table = "a,b,c,d\n,NA,inf,-inf\n"
reply = requests.post(f"http://{sys.argv[1]}/invocations", data=table, headers={"Content-Type": "text/csv"}, timeout=30)
answer = [row["scores"] for row in json.loads(reply.text)["predictions"]]
assert np.array_equal(answer, [np.nan, np.nan, np.inf, -np.inf], equal_nan=True), answer
print("  ok CSV with missing values")

try:
    client.invoke(pd.DataFrame(rows[:, :3]))
    raise AssertionError("a table of three columns was taken")
except Exception as error:
    assert "400" in str(error) and "BAD_REQUEST" in str(error), error
    print("  ok a table that does not fit is refused")

print(f"mlflow-skinny {version('mlflow-skinny')}: all checks passed")
