"""Write a model that is code, and takes a photograph and a text: it tells which of some colours is nearest.

    python train.py OUT

Prints the code's own answer to the sample, as the server will give it.
"""

import base64
import json
import struct
import sys
import zlib
from pathlib import Path

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

PREPARED = '''\
"""The nearest of some colours to the middle of a photograph."""

import numpy as np


def load_artifacts():
    """The colours that it knows."""
    return {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def run(artifacts, input):
    """A photograph as pixels and a text as a str in; a text and a JSON value out."""
    mean = input["photo"].mean(axis=(0, 1))
    distances = {name: float(np.abs(mean - rgb).sum()) for name, rgb in artifacts.items()}
    nearest = min(distances, key=distances.get)
    return {"told": f"{input['greeting']}: {nearest}", "distances": distances}
'''

SO1S_YAML = """\
schema: so1s/v1
format: python
inputs:
- {name: photo, type: image, shape: [-1, -1, 3], max_bytes: 5000000}
- {name: greeting, type: text}
outputs:
- {name: told, type: text}
- {name: distances, type: json}
sample: sample.json
"""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# Two pixels, red and nearly red: a whole PNG, https://www.w3.org/TR/png/.
pixels = b"\0" + bytes((255, 0, 0, 245, 10, 10))
head = struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0)
chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
photo = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)

(out / "prepared.py").write_text(PREPARED)
(out / "so1s.yaml").write_text(SO1S_YAML)
(out / "photo.png").write_bytes(photo)
body = {"photo": base64.b64encode(photo).decode(), "greeting": "nearest"}
(out / "sample.json").write_text(json.dumps(body))

distances = {"red": 15.0, "green": 505.0, "blue": 505.0}
print(json.dumps({"told": "nearest: red", "distances": distances}))
