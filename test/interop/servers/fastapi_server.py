"""FastAPI: a plain route, which runs in its pool of threads. Usage: fastapi_server.py PORT FOLDER"""

import sys

import orjson
import uvicorn
from fastapi import Body, FastAPI, Response
from models import OUTPUTS, Model, feed_of

MODELS = {name: Model(sys.argv[2], name) for name in OUTPUTS}
app = FastAPI()


@app.post("/v2/models/{name}/infer")
def infer(name: str, body: dict = Body()):
    model = MODELS[name]
    return Response(orjson.dumps(model.answer(model.run(feed_of(body)))), media_type="application/json")


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", log_level="warning")
