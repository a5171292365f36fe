"""Layers: the same bytes wherever they are packed."""

import asyncio
import hashlib
import io
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.builder import layers as layers_module
from services.builder.layers import pack, unpack
from services.builder.stop import Stop, Stopped, in_thread

ROOT = PurePosixPath("/opt/so1s/model")
PACK = """
import sys
from pathlib import Path, PurePosixPath
from services.builder.layers import pack
from services.builder.stop import Stop
print(pack(Stop(), Path(sys.argv[1]), PurePosixPath("/opt/so1s/model"), Path(sys.argv[2])).digest)
"""


def tree(directory: Path, names: list[str]) -> Path:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    (directory / names[0]).chmod(0o700)
    return directory


NAMES = ["run.sh", "b/a", "B/c", "모델/ä", "b.a", "b-a", "x" * 180 + "/" + "y" * 120]


def test_the_same_files_give_the_same_digest_whatever_umask_locale_zone_hash_seed_and_order(tmp_path):
    digests = []
    for number, (umask, names) in enumerate([(0o022, NAMES), (0o077, NAMES[:1] + NAMES[:0:-1])]):
        old = os.umask(umask)
        files = tree(tmp_path / f"tree{number}", names)
        os.umask(old)
        os.utime(files / "b/a", (number, number))
        environment = {
            "PYTHONPATH": str(Path.cwd()),
            "PYTHONHASHSEED": str(number + 1),
            "LC_ALL": ["C", "C.UTF-8"][number],
            "TZ": ["UTC", "Asia/Seoul"][number],
        }
        command = [sys.executable, "-c", PACK, str(files), str(tmp_path / f"{number}.tar.zst")]
        digests.append(subprocess.check_output(command, env=environment, umask=umask))

    assert digests[0] == digests[1]


def test_any_number_of_threads_compresses_to_the_same_bytes(tmp_path, monkeypatch):
    """Of several jobs of zstd, which has one each 8 MiB."""
    files = tree(tmp_path / "tree", NAMES)
    (files / "weights").write_bytes(random.Random(7).randbytes(20_000_000) + bytes(10_000_000))
    layers = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(layers_module, "_THREADS", threads)
        layers.append(pack(Stop(), files, ROOT, tmp_path / f"{threads}.tar.zst"))

    assert layers[0] == layers[1] == layers[2]


def test_a_layer_is_an_ordered_tar_without_times_owners_or_foreign_modes(tmp_path):
    files = tree(tmp_path / "tree", NAMES)
    layer = pack(Stop(), files, ROOT, tmp_path / "layer")

    data = zstandard.ZstdDecompressor().stream_reader((tmp_path / "layer").read_bytes()).readall()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        content = tar.extractfile("opt/so1s/model/b/a")
        assert content
        assert content.read() == b"b/a" * 100
    names = [member.name for member in members]
    assert names == sorted(names, key=lambda name: name.split("/"))
    assert names[:3] == ["opt", "opt/so1s", "opt/so1s/model"]
    assert set(names) >= {f"opt/so1s/model/{name}" for name in NAMES}
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.mode for m in members if m.isfile()} == {0o644, 0o755}
    assert layer.diff_id == f"sha256:{hashlib.sha256(data).hexdigest()}"


@given(st.dictionaries(st.text("abc-._", min_size=3, max_size=6), st.binary(max_size=300), max_size=5))
def test_a_layers_digest_and_size_are_those_of_its_bytes(tmp_path_factory, files):
    directory = tmp_path_factory.mktemp("layer")
    (directory / "tree").mkdir()
    for name, data in files.items():
        (directory / "tree" / name).write_bytes(data)
    layer = pack(Stop(), directory / "tree", ROOT, directory / "layer")

    packed = (directory / "layer").read_bytes()
    assert layer.size_bytes == len(packed)
    assert layer.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"


def with_weights(directory: Path, *files: tuple[float, int]) -> Path:
    """Files that become that part of their size, and one that becomes small."""
    made = tree(directory, NAMES)
    for number, (kept, size) in enumerate(files):
        data = random.Random(number).randbytes(int(size * kept)).ljust(size, b"\0")
        (made / f"weights-{number}").write_bytes(data)
    return made


@pytest.mark.parametrize(
    ("files", "suffix"),
    [
        ([(1.0, 6_000_000)], "tar"),
        ([(0.5, 6_000_000)], "tar+zstd"),
        ([(1.0, 4_000_000)], "tar+zstd"),
        ([(1.0, 6_000_000), (0.2, 30_000_000)], "tar+zstd"),
        ([(0.2, 5_000_000), (1.0, 30_000_000), (1.0, 30_000_000)], "tar"),
    ],
    ids=["random", "half", "small", "one of two", "two of three"],
)
def test_weights_that_become_hardly_smaller_are_not_compressed(tmp_path, files, suffix):
    made = with_weights(tmp_path / "tree", *files)
    layer = pack(Stop(), made, ROOT, tmp_path / "layer", weights=True)

    assert layer.media_type == f"application/vnd.oci.image.layer.v1.{suffix}"
    assert (layer.digest == layer.diff_id) == (suffix == "tar")
    unpack(Stop(), layer, tmp_path / "layer", ROOT, tmp_path / "unpacked")
    assert (tmp_path / "unpacked/weights-0").read_bytes() == (made / "weights-0").read_bytes()


def test_libraries_are_compressed_whatever_one_of_their_files_is(tmp_path):
    made = with_weights(tmp_path / "tree", (1.0, 6_000_000))
    assert pack(Stop(), made, ROOT, tmp_path / "layer").is_compressed


def test_a_link_is_not_packed(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to("/etc/passwd")

    with pytest.raises(ValueError, match="neither a file nor a directory"):
        pack(Stop(), tmp_path / "tree", ROOT, tmp_path / "layer")


async def test_a_cancelled_task_waits_until_its_thread_has_ended():
    ended = []

    def work(stop: Stop) -> None:
        try:
            while True:
                stop.check()
        except Stopped:
            ended.append(True)
            raise

    task = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended == [True]
