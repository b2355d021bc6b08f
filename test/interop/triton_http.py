"""tritonclient[http], sync and aio, against `modelmount serve --management`. Usage: triton_http.py HOST:PORT

Asserts what Triton's own simple_http_* examples assert, and the extensions that modelmount serves. Prints one line per check.
"""

import asyncio
import sys

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

URL = sys.argv[1]
checks = 0


def done(what):
    global checks
    checks += 1
    print(f"  ok {what}")


def refused(call, status, what):
    try:
        call()
    except InferenceServerException as error:
        assert error.status() == str(status), (what, error.status(), error)
        assert error.message(), what
        done(f"{what} is refused with {status}")
        return
    raise AssertionError(f"{what} was not refused")


A = np.arange(16, dtype=np.int32).reshape(1, 16)
B = np.full((1, 16), 3, dtype=np.int32)


def pair(binary, rows=1):
    inputs = []
    for name, row in (("INPUT0", A), ("INPUT1", B)):
        data = np.repeat(row, rows, axis=0)
        item = triton.InferInput(name, list(data.shape), "INT32")
        item.set_data_from_numpy(data, binary_data=binary)
        inputs.append(item)
    return inputs


def check_pair(result, rows=1, shift=1000):
    assert np.array_equal(result.as_numpy("OUTPUT0"), np.repeat(A + B + shift, rows, axis=0))
    assert np.array_equal(result.as_numpy("OUTPUT1"), np.repeat(A - B, rows, axis=0))


def one(model, name, datatype, data, client, outputs=None, binary=True, **more):
    item = triton.InferInput(name, list(data.shape), datatype)
    item.set_data_from_numpy(data, binary_data=binary)
    return client.infer(model, [item], outputs=outputs, **more)


def sync():
    client = triton.InferenceServerClient(URL, concurrency=4)

    # health and metadata (simple_http_health_metadata)
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("simple") and client.is_model_ready("simple", "1") and not client.is_model_ready("nope")
    metadata = client.get_server_metadata()
    assert metadata["name"] == "modelmount" and "binary_tensor_data" in metadata["extensions"], metadata
    simple = client.get_model_metadata("simple")
    assert simple["versions"] == ["1", "2"] and [i["name"] for i in simple["inputs"]] == ["INPUT0", "INPUT1"]
    assert client.get_model_metadata("simple", "1")["versions"] == ["1"]
    config = client.get_model_config("simple")
    assert config["max_batch_size"] > 0 and config["input"][0] == {
        "name": "INPUT0", "data_type": "TYPE_INT32", "dims": [16], "optional": False,
    }, config
    refused(lambda: client.get_model_metadata("wrong_model_name"), 404, "metadata of an unknown model")
    done("health, metadata, config")

    # inference, JSON and binary in every mix (simple_http_infer_client)
    for binary_in in (True, False):
        for binary_out in (True, False):
            outputs = [triton.InferRequestedOutput(n, binary_data=binary_out) for n in ("OUTPUT0", "OUTPUT1")]
            check_pair(client.infer("simple", pair(binary_in), outputs=outputs))
        check_pair(client.infer("simple", pair(binary_in)))
    mixed = [pair(True)[0], pair(False)[1]]
    check_pair(client.infer("simple", mixed, outputs=[
        triton.InferRequestedOutput("OUTPUT0", binary_data=False), triton.InferRequestedOutput("OUTPUT1"),
    ]))
    check_pair(client.infer("simple", pair(True), model_version="1"), shift=0)
    result = client.infer("simple", pair(True, 5), request_id="42", outputs=[triton.InferRequestedOutput("OUTPUT1")])
    assert result.get_response()["id"] == "42" and result.as_numpy("OUTPUT0") is None and result.as_numpy("OUTPUT1").shape == (5, 16)
    done("infer, JSON and binary, versions, ids, selected outputs")

    for algorithm in ("gzip", "deflate"):
        check_pair(client.infer("simple", pair(True, 100), request_compression_algorithm=algorithm), rows=100)
        check_pair(client.infer("simple", pair(True, 100), response_compression_algorithm=algorithm), rows=100)
        check_pair(client.infer("simple", pair(False, 100), request_compression_algorithm=algorithm,
                                response_compression_algorithm=algorithm), rows=100)
    done("gzip and deflate, both ways")

    # simple_http_async_infer_client
    for request in [client.async_infer("simple", pair(True)) for _ in range(20)]:
        check_pair(request.get_result())
    done("async_infer")

    # BYTES (simple_http_string_infer_client)
    text = np.array(["", "Grüße", "日本語", "x" * 300], dtype=np.object_)
    for binary in (True, False):
        back = one("text", "x", "BYTES", text, client, binary=binary).as_numpy("y")
        assert [t.decode() for t in back] == list(text), back
        back = one("text", "x", "BYTES", text, client, [triton.InferRequestedOutput("y", binary_data=False)], binary).as_numpy("y")
        assert list(back) == list(text), back
    refused(lambda: one("text", "x", "BYTES", np.array([b"\xff\xfe"], dtype=np.object_), client), 400, "a string that is not UTF-8")
    done("BYTES")

    for model, datatype, dtype, values in (
        ("half", "FP16", np.float16, [0.5, -65504, np.inf, np.nan]),
        ("long", "INT64", np.int64, [2**63 - 1, -(2**63), 2**53 + 1]),
        ("bool", "BOOL", bool, [True, False, True]),
    ):
        data = np.array(values, dtype=dtype)
        assert np.array_equal(one(model, "x", datatype, data, client).as_numpy("y"), data, equal_nan=datatype == "FP16")
    long = np.array([2**63 - 1, 2**53 + 1], dtype=np.int64)
    as_json = [triton.InferRequestedOutput("y", binary_data=False)]
    assert np.array_equal(one("long", "x", "INT64", long, client, as_json, binary=False).as_numpy("y"), long)
    empty = np.zeros((0,), dtype=np.int64)
    assert one("long", "x", "INT64", empty, client).as_numpy("y").shape == (0,)
    done("FP16, INT64 beyond 2^53, BOOL, empty tensors")

    # Missing values: rapidjson writes bare NaN and Infinity, and numpy reads what comes back.
    odd = np.array([[np.nan, np.inf, -np.inf, 0.5]], dtype=np.float32)
    for binary_in in (True, False):
        for binary_out in (True, False):
            wanted = [triton.InferRequestedOutput("scores", binary_data=binary_out)]
            back = one("doubled", "features", "FP32", odd, client, wanted, binary=binary_in).as_numpy("scores")
            assert back.dtype == np.float32 and np.array_equal(back, odd * 2, equal_nan=True), back
    done("NaN and Infinity, JSON and binary in every mix")

    scores = np.array([[1, 5, 3, 2], [9, 8, 7, 6]], dtype=np.float32)
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput("scores", class_count=2, binary_data=binary)]
        top = one("doubled", "features", "FP32", scores, client, wanted).as_numpy("scores")
        assert top.shape == (2, 2), top
        flat = [t.decode() if isinstance(t, bytes) else t for t in top.flatten()]
        assert flat == ["10.000000:1", "6.000000:2", "18.000000:0", "16.000000:1"], flat
    done("classification")

    check_pair(client.infer("simple", pair(True), priority=1, timeout=5_000_000))
    check_pair(client.infer("simple", pair(True), parameters={"anything": "goes", "number": 1}))
    refused(lambda: client.infer("simple", pair(True), sequence_id=7, sequence_start=True), 400, "a sequence of a model without state")
    done("priority, timeout, parameters of one's own")

    # sequences (simple_http_sequence_sync_infer_client): interleaved, ids of both kinds and beyond 2^53
    assert "sequence" in client.get_server_metadata()["extensions"]
    assert [t["name"] for t in client.get_model_metadata("total")["inputs"]] == ["x"]
    assert "sequence_batching" in client.get_model_config("total")
    values = [11, 7, 5, 3, 2, 0, 1]
    ids = [1000, "thousand", 2**64 - 1, 2**64 - 2]
    for binary in (True, False):
        totals = {i: 0 for i in ids}
        for at, v in enumerate(values):
            for factor, i in enumerate(ids, 1):
                step = triton.InferInput("x", [1, 2], "FP32")
                step.set_data_from_numpy(np.array([[v * factor, 1]], dtype=np.float32), binary_data=binary)
                first, last = at == 0, at == len(values) - 1
                answer = client.infer("total", [step], sequence_id=i, sequence_start=first, sequence_end=last).as_numpy("y")
                totals[i] += v * factor
                assert answer.tolist() == [[totals[i], at + 1]], (i, answer)
    refused(lambda: client.infer("total", [step], sequence_id=1000), 404, "a sequence that is over")
    refused(lambda: client.infer("total", [step]), 400, "a model with state without a sequence")
    done("sequences")

    refused(lambda: client.infer("simple", pair(True)[:1]), 400, "a missing input")
    wrong = triton.InferInput("INPUT0", [1, 15], "INT32")
    wrong.set_data_from_numpy(A[:, :15])
    refused(lambda: client.infer("simple", [wrong, pair(True)[1]]), 400, "a wrong shape")
    refused(lambda: client.infer("simple", pair(True), outputs=[triton.InferRequestedOutput("NOPE")]), 400, "an unknown output")
    refused(lambda: client.infer("nope", pair(True)), 404, "an unknown model")
    refused(lambda: client.infer("simple", pair(True), model_version="99"), 404, "an unknown version")

    # statistics (perf_analyzer subtracts two readings)
    before = client.get_inference_statistics("simple", "2")["model_stats"][0]
    for _ in range(10):
        client.infer("simple", pair(True))
    after = client.get_inference_statistics("simple", "2")["model_stats"][0]
    gained = {k: after["inference_stats"][k]["count"] - before["inference_stats"][k]["count"] for k in after["inference_stats"]}
    assert gained["success"] == gained["queue"] == gained["compute_infer"] == 10 and gained["fail"] == 0, gained
    assert after["execution_count"] - before["execution_count"] <= 10 and after["last_inference"] >= before["last_inference"]
    assert {s["name"] for s in client.get_inference_statistics()["model_stats"]} >= {"simple", "text"}
    done("statistics")

    # repository control (simple_http_model_control)
    index = client.get_model_repository_index()
    assert {"name": "simple", "version": "2", "state": "READY"} in index, index
    client.unload_model("simple")
    assert not client.is_model_ready("simple")
    assert any(m["name"] == "simple" and m["state"] == "UNAVAILABLE" for m in client.get_model_repository_index())
    client.load_model("simple")
    assert client.is_model_ready("simple")
    check_pair(client.infer("simple", pair(True)))
    refused(lambda: client.load_model("wrong_model_name"), 404, "loading an unknown model")
    refused(lambda: client.load_model("simple", config='{"max_batch_size": 1}'), 400, "loading with a config of one's own")
    done("repository index, unload, load")
    client.close()


async def aio():
    async with triton_aio.InferenceServerClient(URL) as client:
        assert await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready("simple")
        assert (await client.get_model_metadata("simple"))["name"] == "simple"
        assert (await client.get_model_config("simple"))["name"] == "simple"
        assert (await client.get_inference_statistics("simple"))["model_stats"]
        for binary in (True, False):
            check_pair(await client.infer("simple", pair(binary)))
            outputs = [triton.InferRequestedOutput(n, binary_data=binary) for n in ("OUTPUT0", "OUTPUT1")]
            check_pair(await client.infer("simple", pair(binary), outputs=outputs))
        for algorithm in ("gzip", "deflate"):
            check_pair(await client.infer("simple", pair(True, 100), request_compression_algorithm=algorithm,
                                          response_compression_algorithm=algorithm), rows=100)
        for result in await asyncio.gather(*(client.infer("simple", pair(True)) for _ in range(20))):
            check_pair(result)
        await client.unload_model("long")
        assert not await client.is_model_ready("long")
        await client.load_model("long")
        assert await client.is_model_ready("long")
        assert await client.get_model_repository_index()
    done("aio: health, metadata, config, statistics, infer, both compressions, load and unload")


if __name__ == "__main__":
    from importlib.metadata import version
    print(f"tritonclient {version('tritonclient')}, geventhttpclient {version('geventhttpclient')}, aiohttp {version('aiohttp')}")
    sync()
    asyncio.run(aio())
    print(f"{checks} checks passed")
