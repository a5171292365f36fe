"""Where a model answers, and what is sent there."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from typing import Any, NamedTuple

import grpc
import httpx

from so1s_runtime.rpc.messages import ModelInferRequest, ModelInferResponse

_SECONDS = 60


class Door(NamedTuple):
    """Where a model answers: a `HOST:PORT`, and the endpoint's own host where that is a gateway."""

    address: str
    host: str | None = None

    def post(self, path: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
        host = {"host": self.host} if self.host else {}
        url = f"http://{self.address}{path}"
        return httpx.post(url, headers={**(headers or {}), **host}, timeout=_SECONDS, trust_env=False, **body)

    def post_whole(self, path: str, body: bytes | Iterator[bytes], content_type: str) -> tuple[int, bytes]:
        """As most clients do, which look for no answer before they have sent all."""
        with closing(HTTPConnection(self.address, timeout=_SECONDS)) as connection:
            headers = {"host": self.host or self.address, "content-type": content_type}
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def infer(self, request: ModelInferRequest) -> ModelInferResponse:
        host = [("grpc.default_authority", self.host)] if self.host else []
        with grpc.insecure_channel(self.address, options=host) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            return ModelInferResponse.FromString(call(request.SerializeToString(), timeout=_SECONDS))


Doors = Mapping[str, Door]
"""By the name of a model."""
