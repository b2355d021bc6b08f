"""MLServer's types and codecs over plain HTTP against `modelmount serve`. Usage: mlserver_client.py HOST:PORT"""

import json
import sys
import urllib.request
from importlib.metadata import version

import numpy as np
import pandas as pd
from mlserver.codecs import NumpyCodec, PandasCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse, MetadataServerResponse

BASE = f"http://{sys.argv[1]}/v2"
ROWS = np.array([[1, 2, 3, 4], [0.5, 0, -1, 8]], dtype=np.float32)


def ask(url, body=None):
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def infer(model, request):
    body = request.model_dump_json(exclude_none=True).encode()
    return InferenceResponse.model_validate(ask(f"{BASE}/models/{model}/infer", body))


MetadataServerResponse.model_validate(ask(BASE))
MetadataModelResponse.model_validate(ask(f"{BASE}/models/doubled"))
print("  ok metadata in MLServer's types")

response = infer("doubled", InferenceRequest(inputs=[NumpyCodec.encode_input(name="features", payload=ROWS)]))
assert np.array_equal(NumpyCodec.decode_output(response.outputs[0]), ROWS * 2), response
print("  ok NumpyCodec")

response = infer("words", InferenceRequest(inputs=[StringCodec.encode_input(name="x", payload=["né", ""], use_bytes=False)]))
assert StringCodec.decode_output(response.outputs[0]) == ["né", ""], response
print("  ok StringCodec")

# A missing value is null on the wire; so are all fields that are not set, where they are not left out.
odd = np.array([[np.nan, 1, 2, np.nan]], dtype=np.float32)
request = InferenceRequest(inputs=[NumpyCodec.encode_input(name="features", payload=odd)])
bodies = {
    "model_dump_json()": request.model_dump_json(),
    ".dict()": json.dumps(request.dict()),
    "model_dump_json() of all fields": request.model_dump_json(exclude_unset=False, exclude_none=False),
}
assert '"outputs": null' in bodies[".dict()"] and '"headers": null' in bodies[".dict()"], bodies
for what, body in bodies.items():
    response = InferenceResponse.model_validate(ask(f"{BASE}/models/doubled/infer", body.encode()))
    assert np.array_equal(NumpyCodec.decode_output(response.outputs[0]), odd * 2, equal_nan=True), response
    print(f"  ok missing values, {what}")

frame = pd.DataFrame({"age": [30, 31]})
request = PandasCodec.encode_request(frame)
request.inputs.append(StringCodec.encode_input(name="city", payload=["a", "b"], use_bytes=False))
request.parameters.headers = {"x-trace": "1"}
response = InferenceResponse.model_validate(ask(f"{BASE}/models/table/infer", json.dumps(request.dict()).encode()))
assert response.outputs[0].data.root == [30, 31], response
print("  ok PandasCodec, .dict() with an object in parameters")

# A table of one column for each input, as converters of tabular models declare them.
request = PandasCodec.encode_request(pd.DataFrame({"age": [30, 2**53 + 1]}))
request.inputs.append(StringCodec.encode_input(name="city", payload=["Köln", "Łódź"], use_bytes=False))
response = infer("table", request)
assert response.outputs[0].data.root == [30, 2**53 + 1] and response.outputs[1].data.root == ["Köln", "Łódź"], response
print("  ok PandasCodec")
print(f"mlserver {version('mlserver')}: all checks passed")
