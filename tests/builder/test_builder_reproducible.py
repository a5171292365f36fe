"""The image of a model is the same bytes, whoever builds it and wherever."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.builder.test_builder_worker import tar_of

BUILD = """
import asyncio, sys
from pathlib import Path
from tests.served_images import built

directory, archive, sandbox = sys.argv[1:]
data = Path(archive).read_bytes()
print(asyncio.run(built(Path(directory), "3.tar.gz", data, "fraud", sandbox=sandbox))[-1].image.digest)
"""


def build(directory: Path, archive: Path, *, sandbox: str, umask: int, **environment: str) -> dict:
    """Build a model in a process of its own that shares nothing but uv's cache; answers its manifest."""
    directory.mkdir(parents=True)
    command = [sys.executable, "-c", BUILD, str(directory), str(archive), sandbox]
    said = subprocess.check_output(command, env=os.environ | environment, umask=umask, text=True)
    digest = said.splitlines()[-1]
    manifest = (directory / "images/blobs" / digest.replace(":", "/")).read_bytes()
    return {"digest": digest, **json.loads(manifest)}


def test_an_image_of_a_model_is_the_same_whoever_builds_it(tmp_path, onnx_model):
    files = {
        "out/so1s.yaml": b"schema: so1s/v1\nsample: rows.json\n",
        "out/rows.json": b"[[0, 0, 0, 0]]",
        "out/model.onnx": onnx_model,
        "out/about/notes.txt": b"made by hand",
    }
    forward, backward = tmp_path / "forward", tmp_path / "backward"
    forward.write_bytes(tar_of(files))
    backward.write_bytes(tar_of(dict(reversed(files.items()))))

    ours = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "1"}
    one = build(tmp_path / "one", forward, sandbox="auto", umask=0o022, **ours)
    theirs = {"LC_ALL": "C", "TZ": "Asia/Seoul", "PYTHONHASHSEED": "7"}
    other = build(tmp_path / "another/place", backward, sandbox="none", umask=0o077, **theirs)

    assert len(one["layers"]) == 4  # libraries, inference server, weights, and what is said of them
    assert other["layers"] == one["layers"]
    assert other["digest"] == one["digest"]
