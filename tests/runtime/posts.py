"""A server that keeps what is posted to it."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Post(NamedTuple):
    path: str
    content_type: str
    body: bytes


class Posts(list[Post]):
    """What came to `url`."""

    url: str


@contextmanager
def kept_posts() -> Generator[Posts, None, None]:
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            posts.append(Post(self.path, self.headers["content-type"], body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        posts.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield posts
        finally:
            server.shutdown()
            thread.join()
