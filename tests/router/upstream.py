"""A replica: `python upstream.py NAME PORT ADDRESS` answers its name.

`/pause` does so after 0.5 s, `/never` not at all.
"""

import asyncio
import json
import sys

NAME, PORT, ADDRESS = sys.argv[1], int(sys.argv[2]), sys.argv[3]
status = 200


async def read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
    await reader.readexactly(int(headers.get("content-length", 0)))
    return first.split(" ")[1], headers


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    global status  # noqa: PLW0603 - the process is the object
    try:
        while True:
            path, headers = await read(reader)
            if path.startswith("/become/"):
                status = int(path.rsplit("/", 1)[1])
            if path == "/pause":
                await asyncio.sleep(0.5)
            if path == "/never":
                await asyncio.Event().wait()
            code = 200 if path.startswith(("/v2/health", "/become")) else status
            body = json.dumps({"replica": NAME, "request_id": headers.get("x-request-id")}).encode()
            writer.write(f"HTTP/1.1 {code} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, ADDRESS, PORT)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the test reads it
    await server.serve_forever()


asyncio.run(main())
