"""A real OCI layout with a tiny inference server, so that tests of the cluster need no builder."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import zstandard

from services.deployer.adapters.processes.layout import host_platform
from so1s.events import Image

RUNTIME = """
import argparse, json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from marker import MARKER                                   # of the dependencies' layer

arguments = argparse.ArgumentParser()
arguments.add_argument("--model-dir", required=True)
arguments.add_argument("--host", default="127.0.0.1")
arguments.add_argument("--port", type=int, required=True)
arguments = arguments.parse_args()
model = json.load(open(f"{arguments.model_dir}/model.json"))
print("serving", model["version"], flush=True)
if model.get("crash"):
    sys.exit("the model is broken: " + model["crash"])
ready_at = time.time() + model.get("start_seconds", 0)
answered = waiting = 0
counting = threading.Lock()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        global answered, waiting
        if self.path == "/v2/health/ready":
            return self.answer(200 if time.time() >= ready_at else 503)
        if self.path == "/metrics":
            text = f'http_requests_total{{route="/predict",status="200"}} {answered}\\n'
            text += f"http_requests_in_flight {waiting}\\n"
            return self.answer(200, text.encode())
        if self.path.startswith("/predict"):
            with counting:
                waiting += 1
            time.sleep(float(self.path.partition("seconds=")[2] or 0))
            with counting:
                waiting, answered = waiting - 1, answered + 1
            about = {"version": model["version"], "pid": os.getpid(), "marker": MARKER}
            about |= {"environment": dict(os.environ), "path": sys.path, "sid": os.getsid(0)}
            return self.answer(200, json.dumps(about).encode())
        self.answer(200)

    def answer(self, status, body=b"{}"):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer((arguments.host, arguments.port), Handler)
server.daemon_threads = False                               # closing waits for requests in flight
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
"""


class Layout:
    """An OCI image layout in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs" / "sha256").mkdir(parents=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def image(self, version: str, *, platform: str | None = None, **behaviour: Any) -> Image:
        """Write an image whose server behaves as said; every codec of layers is in use."""
        dependencies = tar({"opt/so1s/dependencies/marker.py": b"MARKER = 'from the image'"})
        runtime = tar(
            {
                "opt/so1s/runtime/so1s_runtime/__init__.py": b"",
                "opt/so1s/runtime/so1s_runtime/__main__.py": RUNTIME.encode(),
            }
        )
        model = tar({"opt/so1s/model/model.json": json.dumps({"version": version, **behaviour}).encode()})
        layers = [
            self.layer(zstandard.compress(dependencies), "+zstd"),
            self.layer(gzip.compress(runtime, mtime=0), "+gzip"),
            self.layer(model, ""),
        ]
        return self.write(layers, platform or host_platform())

    def write(self, layers: list[dict[str, Any]], platform: str) -> Image:
        config = {
            "config": {
                "Entrypoint": ["python", "-m", "so1s_runtime", "--model-dir", "/opt/so1s/model"],
                "Env": ["PYTHONPATH=/opt/so1s/runtime:/opt/so1s/dependencies", "PATH=/usr/local/bin"],
                "Labels": {"so1s.base": "host", "so1s.platform": platform},
            }
        }
        manifest = {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob(json.dumps(config).encode()),
            "layers": layers,
        }
        digest = self.blob(json.dumps(manifest).encode())["digest"]
        return Image(reference=f"oci:{self.root}@{digest}", digest=digest, size_bytes=0)

    def layer(self, data: bytes, compression: str) -> dict[str, Any]:
        media_type = f"application/vnd.oci.image.layer.v1.tar{compression}"
        return {"mediaType": media_type, **self.blob(data)}

    def blob(self, data: bytes) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        self.path(f"sha256:{name}").write_bytes(data)
        return {"digest": f"sha256:{name}", "size": len(data)}

    def path(self, digest: str) -> Path:
        return self.root / "blobs" / "sha256" / digest.removeprefix("sha256:")


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
