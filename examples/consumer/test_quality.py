"""The check, beside a server that answers what a test wants; no broker is needed."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from quality import LABELS, consumer

from so1s.events import DeploymentReady
from so1s.testing import run


@pytest.fixture
def server():
    """A model server whose answer is `server.labels`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.dumps({"label": self.server.labels}).encode()
            self.send_response(self.server.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.status, server.labels = 200, LABELS
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def judge(server, requires=("quality",)):
    """Give the consumer a ready deployment; answers the events that it publishes."""
    ready = DeploymentReady(
        account="risk",
        deployment="iris",
        revision=1,
        model="iris",
        version="1",
        endpoint="iris",
        initial_percent=0,
        requires=list(requires),
        service="file:///endpoints/risk--iris.json",
        url=f"http://127.0.0.1:{server.server_port}",
        replicas=1,
        user="me",
        seconds=1.0,
    )
    return asyncio.run(run(consumer, ready))


def test_a_model_that_is_right_passes(server):
    server.labels = LABELS
    (finished,) = judge(server)
    assert finished.passed


def test_a_model_that_is_wrong_fails_with_the_figures(server):
    server.labels = ["another"] * len(LABELS)
    (finished,) = judge(server)
    assert not finished.passed
    assert finished.reason == "accuracy 0.000, needs 0.900"


def test_a_model_that_takes_other_rows_fails_with_its_own_reason(server):
    server.status = 400
    (finished,) = judge(server)
    assert not finished.passed
    assert "label" in finished.reason  # all that this server says


def test_a_deployment_that_did_not_ask_is_left_alone(server):
    assert judge(server, requires=()) == []
