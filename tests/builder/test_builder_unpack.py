"""Archives of strangers."""

import contextlib
import gzip
import io
import random
import resource
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.builder.contents import read_contents
from services.builder.domain import archive
from services.builder.domain.archive import Limits
from services.builder.domain.failure import BuildError, Hostile
from services.builder.domain.permission import Permissions
from services.builder.stop import Stop, Stopped
from services.builder.unpack import archive_kind, unpack
from so1s.events import Artifact, ModelUploaded

LIMITS = Limits(artifact_bytes=10**8, unpacked_bytes=300_000, files=10, ratio=50)
UPLOADED = ModelUploaded(
    account="risk", model="fraud", version="3", artifact=Artifact(uri="file:///risk/artifact")
)
FILES = {"so1s.yaml": b"schema: so1s/v1\n", "a/model.skops": b"model" * 100}


def member(name: str, type_: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = type_, link, 0o6777
    return info


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes], *, mode: int = 0o644, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archived:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, method
            archived.writestr(info, data)
    return buffer.getvalue()


def plain_tar() -> bytes:
    return tar_of(*((member(name), data) for name, data in FILES.items()))


ARCHIVES = {
    "tar": plain_tar,
    "tar.gz": lambda: gzip.compress(plain_tar()),
    "tar.zst": lambda: zstandard.compress(plain_tar()),
    "zip": lambda: zip_of(FILES),
}


def unpacked(tmp_path: Path, data: bytes, limits: Limits = LIMITS, stop: Stop | None = None) -> Path:
    path, into = tmp_path / "archive", tmp_path / "into"
    path.write_bytes(data)
    into.mkdir()
    kind = archive_kind(path)
    assert kind is not None
    unpack(stop or Stop(), path, kind, into, limits)
    return into


@pytest.mark.parametrize("kind", ARCHIVES)
def test_each_kind_of_archive_is_recognised_and_gives_its_files(tmp_path, kind):
    into = unpacked(tmp_path, ARCHIVES[kind]())

    assert archive_kind(tmp_path / "archive") == kind
    files = {str(path.relative_to(into)): path for path in into.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in files.items()} == FILES
    assert all(not path.stat().st_mode & 0o7111 for path in files.values())  # no mode of the archive is taken


def test_a_model_is_no_archive_though_it_may_be_a_zip(tmp_path, skops_model, onnx_model):
    for model in (skops_model, onnx_model):
        (tmp_path / "model").write_bytes(model)
        assert archive_kind(tmp_path / "model") is None


@pytest.mark.parametrize(
    "hostile",
    [
        tar_of((member("../escaped"), b"x")),
        tar_of((member("/tmp/escaped"), b"x")),
        tar_of((member("a/../../escaped"), b"x")),
        tar_of((member("link", tarfile.SYMTYPE, "/etc"), b"")),
        tar_of((member("link", tarfile.SYMTYPE, "../.."), b""), (member("link/escaped"), b"x")),
        tar_of((member("hard", tarfile.LNKTYPE, "/etc/passwd"), b"")),
        tar_of((member("device", tarfile.CHRTYPE), b"")),
        tar_of((member("pipe", tarfile.FIFOTYPE), b"")),
        tar_of((member("twice"), b"a"), (member("twice"), b"b")),
        tar_of((member("file"), b"a"), (member("file/below"), b"b")),
        tar_of(*((member(f"f{n}"), b"") for n in range(11))),
        tar_of((member("large"), bytes(300_001))),
        zip_of({"../escaped": b"x"}),
        zip_of({"/tmp/escaped": b"x"}),
        zip_of({"link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777),
        zip_of({"large": bytes(300_001)}),
        zip_of({f"f{n}": b"" for n in range(11)}),
    ],
)
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(tmp_path, hostile):
    with pytest.raises(Hostile):
        unpacked(tmp_path, hostile)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "into"]
    assert not Path("/tmp/escaped").exists()


def test_a_bomb_is_refused_by_its_ratio_long_before_it_fills_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "RATIO_FLOOR_BYTES", 10_000)
    limits = Limits(artifact_bytes=10**8, unpacked_bytes=10**9, files=10, ratio=50)

    with pytest.raises(Hostile, match="50 times"):
        unpacked(tmp_path, gzip.compress(tar_of((member("zeros"), bytes(5_000_000)))), limits)

    assert sum(path.stat().st_size for path in (tmp_path / "into").iterdir()) < 5_000_000


def test_a_bomb_of_nested_headers_is_refused(tmp_path):
    header = member("pax", tarfile.XHDTYPE)
    record = b"12 a=bcdefg\n"
    bomb = tar_of(*((header, record) for _ in range(2000)), (member("end"), b""))

    with pytest.raises(Hostile):
        unpacked(tmp_path, bomb, Limits(10**8, 10**8, 10_000, 50))


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path):
    bomb = tar_of((member("pax", tarfile.XHDTYPE), bytes(9_000_000)), (member("end"), b""))

    with pytest.raises(Hostile, match="header"):
        unpacked(tmp_path, bomb, Limits(10**8, 10**8, 10, 50))


def test_a_sparse_file_is_refused(tmp_path):
    with pytest.raises(Hostile, match="link or a device"):
        unpacked(tmp_path, tar_of((member("sparse", tarfile.GNUTYPE_SPARSE), b"")))


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(ARCHIVES["tar.gz"]()[:-20], id="a tar.gz cut short"),
        pytest.param(ARCHIVES["tar.zst"]()[:-20], id="a tar.zst cut short"),
        pytest.param(ARCHIVES["zip"]()[:-20], id="a zip cut short"),
        pytest.param(plain_tar()[:1100], id="a tar cut short"),
        pytest.param(gzip.compress(b"no tar at all"), id="a gzip of no tar"),
        pytest.param(b"\x28\xb5\x2f\xfd" + b"garbage" * 10, id="garbage after the mark of zstd"),
    ],
)
def test_a_broken_archive_is_refused(tmp_path, broken):
    with pytest.raises(BuildError) as error:
        unpacked(tmp_path, broken)

    assert error.value.reason == "artifact"


def flipped(data: bytes, at: int) -> bytes:
    """The same with one byte changed."""
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


MEMBER = " ".join(map(str, random.Random(1).sample(range(10**6), 600))).encode()
METHODS = {"deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["model.skops", "schema.json"])
def test_a_zip_with_a_broken_member_is_refused_however_it_was_compressed(tmp_path, method, name):
    whole = zip_of({name: MEMBER}, method=METHODS[method])

    for at in range(60, 1800, 150):
        directory = tmp_path / str(at)
        directory.mkdir()
        with pytest.raises(BuildError, match="archive is no whole zip archive"):
            unpacked(directory, flipped(whole, at))


def test_a_zip_with_a_name_that_is_no_text_is_refused(tmp_path):
    data = zip_of({"näme": b"x"}).replace("näme".encode(), b"n\xff\xffme")

    with pytest.raises(BuildError, match="archive is no whole zip archive"):
        unpacked(tmp_path, data)


def test_a_name_that_no_file_system_takes_is_refused_whatever_its_letters(tmp_path):
    with pytest.raises(Hostile, match="too long"):
        unpacked(tmp_path, zip_of({"/".join("ä" * 100 for _ in range(10)): b"x"}))


@pytest.mark.parametrize("kind", ARCHIVES)
def test_what_fails_on_this_machine_is_no_fault_of_the_archive(tmp_path, kind):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    data = ARCHIVES[kind]()
    (tmp_path / "archive").write_bytes(data)
    (tmp_path / "into").mkdir()

    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            unpack(Stop(), tmp_path / "archive", kind, tmp_path / "into", LIMITS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def every_archive() -> dict[str, bytes]:
    zips = {f"zip by {method}": zip_of(FILES, method=METHODS[method]) for method in METHODS}
    return {kind: make() for kind, make in ARCHIVES.items()} | zips


@given(
    kind=st.sampled_from(sorted(every_archive())),
    changes=st.lists(st.tuples(st.integers(0, 20_000), st.binary(max_size=3)), min_size=1, max_size=6),
    end=st.none() | st.integers(0, 20_000),
)
def test_whatever_bytes_of_an_archive_were_changed_it_is_unpacked_or_refused(kind, changes, end):
    data = bytearray(every_archive()[kind])
    for at, change in changes:
        data[at % len(data) : at % len(data) + len(change)] = change
    del data[end:]

    with tempfile.TemporaryDirectory() as temporary, contextlib.suppress(BuildError):
        fetched = Path(temporary, "fetched")
        fetched.mkdir()
        (fetched / "artifact").write_bytes(data)
        read_contents(Stop(), fetched, UPLOADED, LIMITS, Permissions())


def test_an_encrypted_zip_is_refused(tmp_path):
    data = bytearray(zip_of({"model": b"x"}))
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1

    with pytest.raises(BuildError, match="encrypted"):
        unpacked(tmp_path, bytes(data))


def test_unpacking_stops_when_told(tmp_path):
    stop = Stop()
    stop.tell()

    with pytest.raises(Stopped):
        unpacked(tmp_path, plain_tar(), stop=stop)
