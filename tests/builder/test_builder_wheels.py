"""Wheels that were made are kept apart by all that made them, and a failed build leaves nothing."""

import asyncio
import io
import os
import weakref
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from services.builder.adapters import source_builder, wheel_files
from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.source_builder import Source, SourceBounds, SourceBuilder
from services.builder.adapters.uv_command import PlainUv, heard, last_words
from services.builder.adapters.wheel_files import write_outline
from services.builder.adapters.wheels import Wheels
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock, Origin
from so1s.errors import TemporaryError
from tests.builder.test_builder_installing import PYTHON, file_name, wheel

TINY = file_name("tiny")
PLATFORM = "linux-x86_64-cp311"


class Host(PlainUv):
    """Has one file everywhere."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content

    async def fetch(self, url: str, into: Path, **_said: object) -> int:
        await asyncio.to_thread(into.write_bytes, self._content)
        return 0


class Backend(SourceBuilder):
    """Builds by writing these bytes, after which it may fail."""

    def __init__(self, content: bytes, glibc: str | None = None, error: BaseException | None = None) -> None:
        super().__init__(None, None, SourceBounds(), PYTHON, glibc)
        self._content, self._error = content, error

    async def lock_tools(self, *_said: object) -> str:
        return ""

    async def build(self, _source: Source, _tools: str, into: Path) -> Path:
        (into / TINY).write_bytes(self._content)
        if self._error:
            raise self._error
        return into / TINY


def origin(name: str = TINY) -> Origin:
    return Origin("tiny", "1.0", f"https://files.example.org/{name}")


def sealed(archive: dict[str, str], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", kind) as wheel:
        for path, text in archive.items():
            wheel.writestr(path, text)
    return packed.getvalue()


async def test_the_same_bytes_by_another_name_are_another_wheel(tmp_path):
    wheels = Wheels(tmp_path, PLATFORM, Host(wheel()), None)
    for name in (TINY, "tiny-1.0-py2.py3-none-any.whl"):
        _found, made = await wheels.take(origin(name), None, print)
        assert made.name == name


async def test_a_source_is_built_though_somebody_had_its_bytes_as_a_wheel(tmp_path):
    source = origin("tiny-1.0.zip")
    wheels = Wheels(tmp_path, PLATFORM, Host(wheel()), Backend(b"built"))
    await wheels.take(origin(), None, print)
    assert (await wheels.take(source, None, print))[1].read_bytes() == b"built"
    assert (await wheels.take(origin(), None, print))[1].read_bytes() == wheel()


async def test_what_was_built_for_one_c_library_is_not_taken_for_another(tmp_path):
    for glibc in ("2.40", "2.34"):
        wheels = Wheels(tmp_path, PLATFORM, Host(b"source"), Backend(glibc.encode(), glibc))
        _found, made = await wheels.take(origin("tiny-1.0.zip"), None, print)
        assert made.read_bytes() == glibc.encode()


@pytest.mark.parametrize("error", [BuildError("dependencies", "no wheel"), KeyboardInterrupt()])
async def test_a_failed_build_leaves_nothing_on_the_disk(tmp_path, error):
    wheels = Wheels(tmp_path, PLATFORM, Host(b"source"), Backend(b"half", error=error))
    with pytest.raises(type(error)):
        await wheels.take(origin("tiny-1.0.zip"), None, print)
    assert {path.suffix for path in tmp_path.rglob("*")} <= {".lock"}


def test_of_a_command_that_says_without_end_the_last_words_are_kept():
    said, logged = last_words(), list[str]()
    hear = heard(said, logged.append)
    for number in range(5000):
        hear(str(number))
    assert (len(said), said[-1], len(logged)) == (1000, "4999", 5000)


class Line(str):
    """One that can be counted while anybody keeps it."""

    __slots__ = ("__weakref__",)


class Chatty(PlainUv):
    """Says more and more, and fails."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = weakref.WeakSet[Line]()

    async def run(self, _arguments: object, *, on_line: Callable[[str], None], **_said: object) -> int:
        for number in range(5000):
            self.kept.add(line := Line(f"line {number}"))
            on_line(line)
        self.most = len(self.kept)
        return 1


async def test_an_installation_that_says_without_end_takes_no_memory_without_end(tmp_path):
    uv = Chatty()
    images = LayoutImages(tmp_path / "images")
    libraries = UvDependencies(tmp_path / "libraries", images, python=PYTHON, platform=PLATFORM, uv=uv)
    with pytest.raises(TemporaryError, match="cannot be installed now: line 4999"):
        await libraries.install(Lock("tiny", "tiny==1.0"), lambda _: None)
    assert uv.most <= 1001  # with the one that was said last


def test_compiled_code_that_unpacks_to_too_much_is_refused_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(source_builder, "_MOST_CODE_BYTES", 2**22)
    (tmp_path / TINY).write_bytes(sealed({"a.so": "x" * 2**21, "b.so": "x" * 2**22}))
    with pytest.raises(BuildError, match="tiny gives more than 4194304 bytes of compiled code"):
        list(source_builder._glibc_of(tmp_path / TINY, "tiny"))


@pytest.mark.parametrize("before", range(2**20 - 12, 2**20, 3))
def test_a_version_of_the_c_library_is_found_wherever_it_stands(tmp_path, before):
    (tmp_path / TINY).write_bytes(sealed({"a.so": "x" * before + "GLIBC_2.38\0"}))
    assert set(source_builder._glibc_of(tmp_path / TINY, "tiny")) == {(2, 38)}


ENCRYPTED = b"PK\1\2\x14\x03\x14\0\1\0"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(sealed({"a.so": "x"})[:30], id="cut"),
        pytest.param(sealed({"a.so": "x" * 100}, zipfile.ZIP_BZIP2), id="bzip2"),
        pytest.param(
            sealed({"a.so": "abcdefgh"}, zipfile.ZIP_STORED).replace(b"abcdefgh", b"abcdefgx"), id="checksum"
        ),
        pytest.param(sealed({"a.so": "x"}).replace(b"PK\1\2\x14\x03\x14\0\0\0", ENCRYPTED), id="encrypted"),
        pytest.param(sealed({"a.so": "abcdefgh" * 99}).replace(b"KLJN", b"\xff" * 4), id="deflated"),
    ],
)
def test_a_wheel_that_cannot_be_read_is_a_failed_build(tmp_path, content):
    (tmp_path / TINY).write_bytes(content)
    with pytest.raises(BuildError, match="tiny gives no wheel that can be read: "):
        list(source_builder._glibc_of(tmp_path / TINY, "tiny"))


def test_a_directory_of_files_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(wheel_files, "_MOST_LISTED_BYTES", 70_000)
    (tmp_path / TINY).write_bytes(sealed({f"{number}.py": "" for number in range(2000)}))
    with (
        pytest.raises(BuildError, match="its directory is too large"),
        wheel_files.opened(tmp_path / TINY, "tiny"),
    ):
        pass


async def test_an_answer_of_deep_brackets_is_a_failed_build(tmp_path, monkeypatch):
    builder = SourceBuilder(None, PlainUv(), SourceBounds(), PYTHON, None)

    async def brackets(*_said: object, answer: int, **_more: object) -> None:
        os.write(answer, b"[" * 60_000)

    monkeypatch.setattr(builder, "_run", brackets)
    (tmp_path / "tiny-1.0.tar.gz").touch()
    with pytest.raises(BuildError, match=r"tiny==1\.0 cannot be built from source"):
        await builder.lock_tools(builder.source(tmp_path / "tiny-1.0.tar.gz", "tiny==1.0", print))


def outlined(directory: Path, *lines: str, extras: Sequence[str] = (), name: str = "tiny") -> list[str]:
    """The metadata that uv reads of a wheel with these lines."""
    text = "\n".join(("Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines, "", "words"))
    (directory / TINY).write_bytes(sealed({"tiny-1.0.dist-info/METADATA": text}))
    write_outline(origin(), directory / TINY, extras, directory / f"outline-{TINY}")
    with zipfile.ZipFile(directory / f"outline-{TINY}") as archive:
        (path,) = (each for each in archive.namelist() if each.endswith("/METADATA"))
        return archive.read(path).decode().splitlines()[3:]


def test_uv_reads_what_a_wheel_requires_and_nothing_else_of_it(tmp_path):
    lines = [
        "Requires-Python: >=3.6.*",
        "Requires-Dist: leaf[x] (>=1,<2) ; extra == 'more'",
        "Provides-Extra: more",
    ]
    assert outlined(tmp_path, *lines, "Requires-External: x") == [
        "Requires-Python: >=3.6.*",
        'Requires-Dist: leaf[x]<2,>=1; extra == "more"',
        "Provides-Extra: more",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Requires-Dist: leaf @ https://files.example.org/leaf-1.0-py3-none-any.whl",
        "Requires-Dist: leaf @ git+https://files.example.org/leaf",
        "Requires-Dist: leaf\n @ https://files.example.org/x.whl",
        "Requires-Dist: leaf @ file:///etc/passwd ; sys_platform == 'linux'",
        "Requires-Dist: leaf @ https://files.example.org/x.whl ; extra == 'More'",
    ],
)
def test_a_wheel_that_requires_a_url_is_refused(tmp_path, line):
    with pytest.raises(BuildError, match=r"tiny==1\.0 requires 'leaf.*allowed: packages of the index"):
        outlined(tmp_path, line, extras=["more"])


def test_a_url_of_an_extra_that_its_author_did_not_ask_for_is_left_out_with_the_extra(tmp_path):
    lines = ["Requires-Dist: leaf @ git+https://x.example/leaf ; extra == 'dev'"]
    lines += ["Requires-Dist: tool ; extra == 'more'", "Provides-Extra: dev", "Provides-Extra: more"]
    assert outlined(tmp_path, *lines, extras=["more"]) == [
        'Requires-Dist: tool; extra == "more"',
        "Provides-Extra: more",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Requires-Dist: leaf )", "its metadata cannot be read"),
        (f"Requires-Dist: leaf ; {'(' * 9000}", "its metadata cannot be read"),
        ("Requires-Dist: leaf @ https://x.example/y ; sys_platform ~= 'a'", "its metadata cannot be read"),
        ("Name: other", "its metadata are of"),
        (f"Summary: {'x' * 2**22}", "its metadata have more than 4194304 bytes"),
    ],
)
def test_metadata_that_cannot_be_read_are_a_failed_build(tmp_path, line, said):
    with pytest.raises(BuildError, match=said):
        outlined(tmp_path, line)


def test_a_wheel_of_another_package_is_refused(tmp_path):
    with pytest.raises(BuildError, match=r"tiny==1\.0: its metadata are of 'other' '1\.0'"):
        outlined(tmp_path, name="other")


def test_a_wheel_with_two_metadata_is_refused(tmp_path):
    (tmp_path / TINY).write_bytes(sealed({f"{each}.dist-info/METADATA": "" for each in ("a", "b")}))
    with pytest.raises(BuildError, match=r"it has 2 files \*\.dist-info/METADATA"):
        write_outline(origin(), tmp_path / TINY, (), tmp_path / "x")
