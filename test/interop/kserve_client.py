"""KServe's Python client, v1 and v2, against `modelmount serve --dialects open-inference,tf-serving`. Usage: kserve_client.py HOST:PORT"""

import asyncio
import json
import sys
import urllib.request
from importlib.metadata import version

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

BASE = f"http://{sys.argv[1]}"
ROWS = np.array([[1, 2, 3, 4], [0.5, 0, -1, 8]], dtype=np.float32)


async def main():
    v2 = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=30))
    assert await v2.is_server_live(BASE) and await v2.is_server_ready(BASE) and await v2.is_model_ready(BASE, "doubled")
    print("  ok v2 health")
    for binary in (False, True):
        features = InferInput(name="features", shape=list(ROWS.shape), datatype="FP32")
        features.set_data_from_numpy(ROWS, binary_data=binary)
        outputs = [RequestedOutput(name="scores", parameters={"binary_data": binary})]
        request = InferRequest(model_name="doubled", infer_inputs=[features], request_outputs=outputs, request_id="k-1")
        response = await v2.infer(BASE, request, model_name="doubled")
        assert response.id == "k-1" and np.array_equal(response.outputs[0].as_numpy(), ROWS * 2), response
        print(f"  ok v2 infer, {'binary' if binary else 'JSON'}")

    # A missing value: orjson writes null, which numpy reads as NaN; so it would an infinity.
    for binary in (False, True):
        missing = np.array([[np.nan, 1, 2, np.nan]], dtype=np.float32)
        item = InferInput(name="features", shape=[1, 4], datatype="FP32")
        item.set_data_from_numpy(missing, binary_data=binary)
        outputs = [RequestedOutput(name="scores", parameters={"binary_data": binary})]
        request = InferRequest(model_name="doubled", infer_inputs=[item], request_outputs=outputs)
        response = await v2.infer(BASE, request, model_name="doubled")
        assert np.array_equal(response.outputs[0].as_numpy(), missing * 2, equal_nan=True), response
    print("  ok v2 missing values, JSON and binary")

    # All fields of KServe's types, those that are not set as null.
    item = InferInput(name="features", shape=[2, 4], datatype="FP32", data=ROWS.tolist())
    whole = InferRequest(model_name="doubled", infer_inputs=[item]).to_dict()
    assert whole["inputs"][0]["parameters"] is None and None in (whole["id"], whole["parameters"]), whole
    body = json.dumps(whole).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{BASE}/v2/models/doubled/infer", body, headers)) as reply:
        assert json.load(reply)["outputs"][0]["data"] == (ROWS * 2).flatten().tolist()
    print("  ok v2 to_dict() with null")

    text = np.array(["né", ""], dtype=np.object_)
    item = InferInput(name="x", shape=[2], datatype="BYTES")
    item.set_data_from_numpy(text, binary_data=True)
    response = await v2.infer(BASE, InferRequest(model_name="text", infer_inputs=[item]), model_name="text")
    assert list(response.outputs[0].as_numpy()) in (list(text), [t.encode() for t in text]), response.outputs[0].as_numpy()
    print("  ok v2 BYTES")

    v1 = InferenceRESTClient(RESTConfig(protocol="v1", retries=0, timeout=30))
    answer = await v1.infer(BASE, {"instances": ROWS.tolist()}, model_name="doubled")
    assert np.array_equal(np.array(answer["predictions"], dtype=np.float32), ROWS * 2), answer
    print("  ok v1 predict")

    # json.dumps writes bare NaN and Infinity, and json.loads reads them.
    body = json.dumps({"instances": [[np.nan, np.inf, -np.inf, 1]]}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{BASE}/v1/models/doubled:predict", body, headers)) as reply:
        answer = np.array(json.load(reply)["predictions"])
    assert np.array_equal(answer, [[np.nan, np.inf, -np.inf, 2]], equal_nan=True), answer
    print("  ok v1 predict with NaN by json.dumps")


asyncio.run(main())
print(f"kserve {version('kserve')}: all checks passed")
