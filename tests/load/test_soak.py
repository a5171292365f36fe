"""An inference server under good and hostile callers for minutes: its memory, sockets and threads stay flat.

`make soak MINUTES=10`; within `make load` it takes half a minute, which finds what leaks quickly.
"""

import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from statistics import linear_regression, median

import grpc
import httpx
import numpy as np
import psutil
import pytest

from so1s_runtime.rpc.messages import ModelInferRequest
from tests.load.bench import servers
from tests.runtime.running import LONG_SECONDS, started

MINUTES = float(os.environ.get("SO1S_SOAK_MINUTES", "0.5"))
LOOK_SECONDS = 0.5
WARM = 0.3
"""The part of the time after which pools and caches are filled."""
MOST_MIB_A_MINUTE = 1.0
"""Of a run of ten minutes; a shorter one is as much more shaken by what the allocator does."""
FLAGS = ("--body-seconds=1", "--drain-seconds=0", "--max-body-bytes=1000000")
BAD = (
    b"",
    b"POST /predict HTTP/1.1\r\ncontent-length: 99\r\n\r\n[[1",
    b"POST /predict HTTP/1.1\r\nhost: x",
    b"POST /predict HTTP/1.1\r\ncontent-length: 2000000\r\n\r\n" + b"[" * 10_000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x04",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
)


def _good(port: int, client: httpx.Client) -> Callable[[], object]:
    body = servers.body()
    return lambda: client.post("/predict", content=body).raise_for_status()


def _refused(port: int, client: httpx.Client) -> Callable[[], object]:
    bodies = [b"", b"[[NaN]]", b"[" * 5000, json.dumps({"x": [[1]]}).encode(), os.urandom(50_000)]

    def ask() -> None:
        assert client.post("/predict", content=random.choice(bodies)).status_code == 400

    return ask


def _over_grpc(port: int, client: httpx.Client) -> Callable[[], object]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 30]}
    raw = np.zeros(30, np.float32).tobytes()
    request = ModelInferRequest(model_name="tumour", inputs=[tensor], raw_input_contents=[raw])
    body = request.SerializeToString()

    def ask() -> None:
        """A channel for a few calls: connections come and go, too."""
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            for _ in range(20):
                infer(body, timeout=LONG_SECONDS)
            with suppress(grpc.RpcError):
                infer(body, timeout=0.0001)
            with suppress(grpc.RpcError):
                infer(b"\xff" * 100, timeout=LONG_SECONDS)

    return ask


def _hostile(port: int, client: httpx.Client) -> Callable[[], object]:
    def ask() -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.05) as caller:
            caller.sendall(random.choice(BAD))
            if random.random() < 0.5:
                caller.recv(100)

    return ask


@contextmanager
def _calling(port: int):
    """Callers of each kind, and what went wrong with them; they are gone afterwards."""
    end, failures, counts = threading.Event(), [], {}

    def call(kind: Callable[..., Callable[[], object]]) -> None:
        address = f"http://127.0.0.1:{port}"
        try:
            with httpx.Client(base_url=address, trust_env=False, timeout=LONG_SECONDS) as client:
                ask = kind(port, client)
                while not end.is_set():
                    ask()
                    counts[kind.__name__] = counts.get(kind.__name__, 0) + 1
        except Exception as error:  # noqa: BLE001 - told at the end
            failures.append((kind.__name__, error))

    threads = [threading.Thread(target=call, args=[kind]) for kind in (_good, _refused, _over_grpc, _hostile)]
    for thread in threads:
        thread.start()
    try:
        yield counts, failures
    finally:
        end.set()
        for thread in threads:
            thread.join()


@pytest.mark.load
@pytest.mark.timeout(MINUTES * 60 + 240)
def test_memory_sockets_and_threads_stay_flat_under_good_and_hostile_callers(tmp_path):
    with started(servers.model_directory(tmp_path), tmp_path / "log", *FLAGS) as (process, port):
        watched = psutil.Process(process.pid)
        idle = watched.num_fds()
        with _calling(port) as (counts, failures):
            seen = _watch(watched, MINUTES * 60, failures)
        assert failures == []
        _until(lambda: watched.num_fds() <= idle + GRPC_FILES)
        process.terminate()
        assert process.wait(LONG_SECONDS) == 0
    minutes, mib, threads = (np.array(column) for column in zip(*seen, strict=True))
    slope = linear_regression(minutes, mib).slope
    most = MOST_MIB_A_MINUTE * max(1.0, 10 / MINUTES)
    said = f"{median(mib):.0f} MiB, {slope:+.2f} MiB a minute, {threads.min()} to {threads.max()} threads"
    print(f"{said}; {counts}")  # noqa: T201 - what it is run for
    assert slope < most
    assert threads.max() - threads.min() <= GRPC_THREADS


GRPC_FILES = 40
"""What gRPC's library keeps open once it was spoken, whoever calls."""
GRPC_THREADS = 8
"""Its pool grows and shrinks."""


def _watch(process: psutil.Process, seconds: float, failures: list) -> list[tuple[float, float, int]]:
    """Minutes, MiB and threads, again and again."""
    seen, began = [], time.monotonic()
    while (passed := time.monotonic() - began) < seconds and not failures:
        if passed > WARM * seconds:
            seen.append((passed / 60, process.memory_info().rss / 2**20, process.num_threads()))
        time.sleep(LOOK_SECONDS)
    return seen


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
