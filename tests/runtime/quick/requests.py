"""Requests as a caller writes them."""

GOOD = b"[[5.1,3.5,1.4,0.2]]"


def request(body: bytes = GOOD, path: str = "/predict", more: str = "", version: str = "1.1") -> bytes:
    length = f"content-length: {len(body)}\r\n"
    return f"POST {path} HTTP/{version}\r\nhost: x\r\nx-request-id: r\r\n{length}{more}\r\n".encode() + body
