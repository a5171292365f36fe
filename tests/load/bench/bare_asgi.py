"""`python -m tests.load.bench.bare_asgi MODEL PORT`: the least that answers with a model over HTTP.

No validation, no metrics, no limits, no threads; uvicorn is set as the inference server sets it.
"""

import sys

import numpy as np
import onnxruntime as ort
import orjson
import uvicorn


def app(session: ort.InferenceSession):
    names = [output.name for output in session.get_outputs()]

    async def answer(_scope, receive, send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        rows = np.array(orjson.loads(body)["x"], dtype=np.float32)
        outputs = dict(zip(names, session.run(names, {"x": rows}), strict=True))
        content = orjson.dumps(outputs, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return answer


def main() -> None:
    model, port = sys.argv[1:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    uvicorn.run(
        app(session),
        port=int(port),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
