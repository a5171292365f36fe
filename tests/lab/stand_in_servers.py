"""What inference servers would count, for pods that run nothing."""

import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from so1s_lab.prometheus import Prometheus
from so1s_runtime.manifest import Manifest
from so1s_runtime.metrics import Metrics

_MODEL = Manifest(name="fraud", version="1", format="onnx", file="model.onnx", signature=None)
_REQUESTS = 20
"""Between two scrapes, of each replica."""


class Servers:
    """The servers of a Deployment's pods; a context manager.

    All replicas share the load, so that the more there are the sooner each one answers.
    """

    def __init__(self, namespace: str, prometheus: Prometheus) -> None:
        self._namespace = namespace
        self._prometheus = prometheus
        self._metrics: dict[str, Metrics] = {}
        self._seconds = 0.0
        self._waiting = 0
        self._gpu_percent = 0.0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})

    def load(self, *, seconds: float = 0.0, waiting: int = 0, gpu_percent: float = 0.0) -> None:
        """What there is from now on.

        Args:
            seconds: how long a request takes where one replica serves all.
            waiting: requests in work or waiting, of all replicas together.
            gpu_percent: how busy a GPU is where one replica serves all.
        """
        self._seconds, self._waiting, self._gpu_percent = seconds, waiting, gpu_percent

    def run(self, pods: Iterable[str]) -> None:
        """Let Prometheus find these pods, and no others."""
        found = set(pods)
        for pod in found - self._metrics.keys():
            self._metrics[pod] = Metrics(_MODEL, lambda: self._waiting // len(self._metrics))
            labels = {"namespace": self._namespace, "pod": pod, "__metrics_path__": f"/{pod}"}
            self._prometheus.scrape(pod, f"127.0.0.1:{self._http.server_address[1]}", labels=labels)
        for pod in self._metrics.keys() - found:
            self._prometheus.scrape(pod)
            del self._metrics[pod]

    def __enter__(self) -> "Servers":  # noqa: PYI034 - as it is used
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.run([])
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _exposition(self, pod: str) -> bytes:
        metrics = self._metrics[pod]
        for _ in range(_REQUESTS):
            metrics.answered("/predict", 200, self._seconds / len(self._metrics))
        busy = self._gpu_percent / len(self._metrics)
        return metrics.exposition() + f'DCGM_FI_DEV_GPU_UTIL{{gpu="0"}} {busy}\n'.encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        servers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pod = self.path.strip("/")
                self.send_response(200 if pod in servers._metrics else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                if pod in servers._metrics:
                    self.wfile.write(servers._exposition(pod))

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        return Handler
