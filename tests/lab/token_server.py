"""A server of tokens for a registry.

Their form: https://distribution.github.io/distribution/spec/auth/jwt/
"""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt
from joserfc.jwk import ECKey

from so1s_lab.registry import TokenServer

SERVICE = "lab-registry"
ISSUER = "lab-tokens"


class Tokens:
    """Gives tokens to one user; a context manager."""

    def __init__(self, directory: Path, user: str, password: str) -> None:
        authority = trustme.CA()
        self._leaf = authority.issue_cert("tokens.example")
        certificate = directory / "tokens.pem"
        authority.cert_pem.write_to_path(certificate)
        self._expected = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        self.given: list[dict] = []
        """The claims of each."""
        self.valid_seconds = 300.0
        """How long a registry takes a token; what a client is told is always 300."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        realm = f"http://127.0.0.1:{self._http.server_address[1]}/token"
        self.server = TokenServer(realm, SERVICE, ISSUER, certificate)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def give(self, scopes: list[str]) -> str:
        now = time.time()
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in (scope.split(":") for scope in scopes)
        ]
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": "lab",
            "nbf": int(now) - 3600,
            "iat": int(now) - 3600,
            "exp": int(now + self.valid_seconds),
            "jti": str(len(self.given)),
            "access": access,
        }
        self.given.append(claims)
        return jwt.encode({"alg": "ES256", "x5c": [self._chain]}, claims, self._key)

    @property
    def _chain(self) -> str:
        certificate = x509.load_pem_x509_certificate(self._leaf.cert_chain_pems[0].bytes())
        return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()

    @property
    def _key(self) -> ECKey:
        return ECKey.import_key(self._leaf.private_key_pem.bytes())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers["Authorization"] == tokens._expected
                asked = parse_qs(urlsplit(self.path).query)
                body = {"token": tokens.give(asked.get("scope", [])), "expires_in": 300} if known else {}
                data = json.dumps(body).encode()
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        return Handler
