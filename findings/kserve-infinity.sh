#!/usr/bin/env bash
# KServe's Python client: an infinity arrives as NaN
#
# Versions: kserve 0.21.0 with orjson 3.13.0, Python 3.11.
# Guess: InferenceRESTClient refuses an infinity in JSON, as strict JSON has none, or writes it as a word.
# Happens: It writes null, as it does for NaN. KServe's own reader makes NaN of both; so do MLServer's codecs.
# Matters: A reading that is off the scale becomes one that is missing, and models with a branch for missing values
# take it. Nothing on the way says so. Sent as binary data the infinity stays what it is.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip -q --disable-pip-version-check install kserve==0.21.0 orjson==3.13.0
env/bin/python - <<'PY'
import asyncio, json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

got = []

class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        got.append(self.rfile.read(int(self.headers["Content-Length"])))
        body = b'{"model_name":"m","outputs":[]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()

async def send(binary):
    item = InferInput("x", [3], "FP32")
    item.set_data_from_numpy(np.array([1, np.inf, np.nan], dtype=np.float32), binary_data=binary)
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    await client.infer(f"http://127.0.0.1:{server.server_port}", InferRequest("m", [item]), model_name="m")

asyncio.run(send(False))
data = json.loads(got[0])["inputs"][0]["data"]
read = InferInput("x", [3], "FP32", data=data).as_numpy()
print("on the wire:", data, "read by KServe:", read)
assert data == [1.0, None, None]
assert np.isnan(read[1]) and np.isnan(read[2])
asyncio.run(send(True))
raw = np.frombuffer(got[1][-12:], dtype=np.float32)
print("as binary data:", raw)
assert np.isinf(raw[1])
server.shutdown()
PY
