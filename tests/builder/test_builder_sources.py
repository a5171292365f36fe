"""Packages without a wheel are built from source where an operator allows it, and see no builder."""

import ast
import base64
import io
import shutil
import sys
import tarfile
import zipfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.source_builder import SourceBounds, SourceBuilder
from services.builder.adapters.uv_enclosed import EnclosedUv, InstallBounds
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock
from so1s.requirements import Requirements
from tests.builder.sources import index_of, sdist
from tests.builder.test_builder_installing import file_name, served, wheel

PYTHON = Path(sys._base_executable)
NOTHING = Lock("nothing", "")
TOOL = file_name("tool")
TOUCH_OUTSIDE = "open('/opt/so1s/dependencies/x', 'w')"


class Bench:
    """Libraries of a directory, which come from an index of the test's own."""

    def __init__(self, sandbox, directory: Path, **said) -> None:
        self.directory = directory
        self._glibc = said.pop("glibc", None)
        self._uv = EnclosedUv(sandbox, InstallBounds(seconds=120), [])
        self._sources = SourceBuilder(sandbox, self._uv, SourceBounds(**said), PYTHON, self._glibc)
        self.lines: list[str] = []

    @property
    def libraries(self) -> UvDependencies:
        return UvDependencies(
            self.directory / "libraries",
            LayoutImages(self.directory / "images"),
            python=PYTHON,
            platform="linux-x86_64-cp311",
            glibc=self._glibc,
            uv=self._uv,
            sources=self._sources,
        )

    async def lock(self, text: str, *, builds: bool = True) -> Lock:
        asked = Requirements.parse(text.encode())
        return await self.libraries.lock(asked, [], NOTHING, self.lines.append, builds=builds)

    async def installed(self, text: str) -> Path:
        provided = await self.libraries.provide(await self.lock(text), self.lines.append)
        return provided.site_packages


@pytest.fixture
def bench(sandbox, tmp_path, monkeypatch):
    """Gives a bench whose index has these files."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))

    @asynccontextmanager
    async def bench(files: dict[str, bytes], **said):
        async with served(index_of(files)) as index:
            monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
            made = Bench(sandbox, tmp_path / "bench", **said)
            made.index = index
            yield made

    return bench


async def test_a_package_without_a_wheel_is_built_and_its_lock_tells_the_source_and_what_built_it(bench):
    source = sdist("tiny", tools=["tool>=1"], backend="import tool", module="f'ANSWER = {tool.ANSWER}\\n'")
    async with bench({"tiny-1.0.tar.gz": source, TOOL: wheel("tool")}) as made:
        lock = await made.lock("tiny")
        site_packages = (await made.libraries.provide(lock, made.lines.append)).site_packages

    (origin,) = lock.origins
    assert (origin.pin, origin.of_index, origin.is_built) == ("tiny==1.0", True, True)
    assert origin.url == f"{made.index.url}/files/tiny-1.0.tar.gz"
    assert lock.hashes == {("tiny", "1.0"): (origin.sha256,)}
    assert origin.built_by == (("tool", "1.0"),)
    assert (site_packages / "tiny.py").read_text() == "ANSWER = 42\n"
    assert not (site_packages / "tool.py").exists()  # what builds a package is not part of an image


async def test_nothing_is_built_where_nobody_allowed_it(bench):
    async with bench({"tiny-1.0.tar.gz": sdist("tiny")}) as made:
        with pytest.raises(BuildError) as error:
            await made.lock("\ntiny>=1", builds=False)
        said = str(error.value)
        assert error.value.reason == "dependencies"
        assert "Only wheels are taken of tiny (requirements.txt line 2)" in said
        assert "SO1S_SOURCE_ACCOUNTS" in said
        assert not any(head.startswith("GET /files/") for head in made.index.asked)


async def test_what_was_built_for_some_is_not_given_to_those_who_may_not_build(bench):
    async with bench({"tiny-1.0.tar.gz": sdist("tiny")}) as made:
        await made.lock("tiny")
        with pytest.raises(BuildError, match="SO1S_SOURCE_ACCOUNTS"):
            await made.lock("tiny", builds=False)


async def test_a_lock_of_wheels_is_the_same_for_those_who_may_build_and_for_those_who_may_not(bench):
    async with bench({file_name("tiny"): wheel()}) as made:
        first = await made.lock("tiny", builds=False)
        made.index.files.clear()
        assert await made.lock("tiny") == first


async def test_a_version_with_a_wheel_is_taken_rather_than_a_newer_one_without(bench):
    async with bench({"tiny-2.0.tar.gz": sdist("tiny", "2.0"), file_name("tiny"): wheel()}) as made:
        lock = await made.lock("tiny")
    assert (lock.hashes.keys(), lock.origins) == ({("tiny", "1.0")}, ())


async def test_wheels_for_other_platforms_alone_are_none(bench):
    files = {"tiny-1.0-cp39-cp39-win_amd64.whl": wheel(), "tiny-1.0.tar.gz": sdist("tiny")}
    async with bench(files) as made:
        assert (await made.lock("tiny")).origins


async def test_what_a_source_requires_is_found_out_by_building_it(bench):
    files = {
        "top-1.0.tar.gz": sdist("top", needs=["middle>=1", "leaf[x]"]),
        "middle-1.5.tar.gz": sdist("middle", "1.5", needs=["leaf<2"]),
        file_name("leaf"): wheel("leaf"),
    }
    async with bench(files) as made:
        lock = await made.lock("top")
        site_packages = (await made.libraries.provide(lock, made.lines.append)).site_packages

    assert lock.hashes.keys() == {("leaf", "1.0"), ("middle", "1.5"), ("top", "1.0")}
    assert [each.pin for each in lock.origins] == ["middle==1.5", "top==1.0"]
    assert {path.name for path in site_packages.glob("*.py")} == {"leaf.py", "middle.py", "top.py"}


async def test_a_package_that_another_version_of_did_not_need_is_not_in_the_lock(bench):
    files = {
        "top-1.0.tar.gz": sdist("top", needs=["tiny>=2"]),
        "tiny-1.0.tar.gz": sdist("tiny"),
        "tiny-2.0.tar.gz": sdist("tiny", "2.0"),
    }
    async with bench(files) as made:
        assert [each.pin for each in (await made.lock("top")).origins] == ["tiny==2.0", "top==1.0"]


async def test_what_is_installed_tells_nothing_of_this_machine(bench):
    async with bench({"tiny-1.0.tar.gz": sdist("tiny")}) as made:
        site_packages = await made.installed("tiny")
    for name in ("direct_url.json", "uv_cache.json"):
        assert not list(site_packages.glob(f"*/{name}"))
        assert name not in (site_packages / "tiny-1.0.dist-info/RECORD").read_text()


LOOKS_AROUND = """
import socket
def reaches(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5)
    except OSError as error:
        return error.strerror
def may_write(place):
    try:
        open(place, "w").close()
    except OSError:
        return False
    return True
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
found = {
    "environment": dict(os.environ),
    "network": reaches(PORT),
    "files": [each for each in (SECRET, CACHE, "/etc/shadow", "/run", CHECKOUT) if os.path.exists(each)],
    "rights": [os.getuid(), *(status[name].strip() for name in ("CapEff", "NoNewPrivs", "Seccomp"))],
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "written": [may_write(f"{each}/x") for each in ("", "/usr", "/opt/so1s/dependencies", "/opt/so1s/model")],
    "umask": os.umask(0),
}
"""


async def test_a_source_sees_no_network_secret_file_or_process_of_the_builder(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("SO1S_SECRET", "hunter2")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "30")
    (tmp_path / "secret").touch()
    async with bench({}) as made:
        login = made.index.url.replace("//", "//me:hunter3@")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{login}/simple")
        backend = (
            LOOKS_AROUND.replace("PORT", str(made.index.port))
            .replace("SECRET", repr(str(tmp_path / "secret")))
            .replace("CACHE", repr(str(tmp_path / "cache")))
            .replace("CHECKOUT", repr(str(Path.cwd())))
        )
        source = sdist("tiny", backend=f"import os\n{backend}", module="repr(found)")
        made.index.files |= index_of({"tiny-1.0.tar.gz": source})
        found = ast.literal_eval((await made.installed("tiny") / "tiny.py").read_text())

    assert "hunter" not in str(found["environment"])
    assert not [name for name in found["environment"] if name.startswith(("SO1S_", "UV_"))]
    assert found["network"] in {"Network is unreachable", "Connection refused"}
    assert found["files"] == []
    assert found["rights"] == [65534, "0000000000000000", "1", "2"]
    assert found["processes"] == 3  # the first one, what unpacked the source, and its own
    assert found["written"] == [False, False, False, False]
    assert found["umask"] == 0o022


async def test_an_indexs_own_login_reaches_the_index_and_neither_log_nor_lock(bench, monkeypatch):
    async with bench({"tiny-1.0.tar.gz": sdist("tiny")}) as made:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{made.index.url.replace('//', '//me:hunter2@')}/simple")
        lock = await made.lock("tiny")
        (fetched,) = [head for head in made.index.asked if head.startswith("GET /files/")]

    assert f"Authorization: Basic {base64.b64encode(b'me:hunter2').decode()}" in fetched
    assert "hunter2" not in lock.text + "".join(made.lines)


MANY_PROCESSES = """
import os, time
number = 1
try:
    while os.fork() or time.sleep(60):
        number += 1
except OSError:
    raise SystemExit(f"it has {number} processes")
"""


@pytest.mark.parametrize(
    ("evil", "bounds", "said"),
    [
        ("while True: pass", {"seconds": 3}, r"did not end within 3 s \(SO1S_SOURCE_SECONDS\)"),
        ("x = b'x' * 2**28", {"memory_mib": 128}, "MemoryError"),
        ("open('/tmp/x', 'wb').write(b'x' * 2**24)", {"temporary_mib": 8}, "No space left on device"),
        ("raise SystemExit('own words')", {}, "own words"),
        (MANY_PROCESSES, {}, r"has 5\d\d processes"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {}, "cannot be built from source"),
        (
            "import os; os.write(int(__import__('sys').argv[1]), b'../../x.whl\\nx'); os._exit(0)",
            {},
            "cannot be built",
        ),
    ],
)
async def test_a_source_that_breaks_its_bounds_is_a_failed_build_that_names_it(bench, evil, bounds, said):
    async with bench({"tiny-1.0.tar.gz": sdist("tiny", module=f"lambda: exec({evil!r})")}, **bounds) as made:
        with pytest.raises(
            BuildError, match=rf"tiny==1\.0 cannot be built from source: .*{said}|{said}"
        ) as error:
            await made.lock("tiny")
    assert error.value.reason == "dependencies"
    assert "tiny==1.0" in str(error.value)


async def test_the_steps_of_building_one_package_have_one_deadline_together(bench):
    slow = "import time; time.sleep(2)"  # in each of the three
    async with bench({"tiny-1.0.tar.gz": sdist("tiny", backend=slow)}, seconds=4) as made:
        with pytest.raises(BuildError, match=r"did not end within 4 s \(SO1S_SOURCE_SECONDS\)"):
            await made.lock("tiny")


async def test_a_source_of_another_version_than_its_name_says_is_refused(bench):
    async with bench({"tiny-2.0.tar.gz": sdist("tiny")}) as made:
        with pytest.raises(BuildError, match=r"its source gives tiny==1\.0"):
            await made.lock("tiny")


async def test_a_file_that_the_author_did_not_allow_runs_no_code(bench):
    async with bench({"tiny-1.0.tar.gz": sdist("tiny", backend="print('it ran')")}) as made:
        with pytest.raises(
            BuildError, match=r"tiny==1\.0 has no file with a hash that the requirements allow"
        ):
            await made.lock(f"tiny==1.0 --hash=sha256:{'0' * 64}")
    assert "it ran" not in made.lines


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        (["absent"], r"what builds tiny==1\.0 cannot be had as wheels \(absent\)"),
        (["other"], r"what builds tiny==1\.0 cannot be had as wheels \(other\)"),
        (["-e ."], "what builds tiny==1.0: '-e .' is not allowed"),
        (
            ["tool @ https://files.example.org/tool-1.0-py3-none-any.whl"],
            "comes from https://files.example.org",
        ),
    ],
)
async def test_what_builds_a_source_comes_from_the_index_as_wheels_alone(bench, tools, said):
    async with bench(
        {"tiny-1.0.tar.gz": sdist("tiny", tools=tools), "other-1.0.tar.gz": sdist("other")}
    ) as made:
        with pytest.raises(BuildError, match=said):
            await made.lock("tiny")


async def test_what_a_backend_asks_for_beside_its_project_is_locked_too(bench):
    more = "def get_requires_for_build_wheel(settings): return ['tool']"
    source = sdist("tiny", backend=more, module="lambda: f'ANSWER = {__import__(\"tool\").ANSWER}\\n'")
    async with bench({"tiny-1.0.tar.gz": source, TOOL: wheel("tool")}) as made:
        (origin,) = (await made.lock("tiny")).origins
    assert origin.built_by == (("tool", "1.0"),)


async def test_a_wheel_that_left_the_disk_is_built_again_by_what_the_lock_names(bench):
    source = sdist("tiny", tools=["tool"], backend="import tool", module="f'ANSWER = {tool.ANSWER}\\n'")
    async with bench({"tiny-1.0.tar.gz": source, TOOL: wheel("tool")}) as made:
        lock = await made.lock("tiny")
        shutil.rmtree(made.directory / "libraries/wheels")
        site_packages = (await made.libraries.provide(lock, made.lines.append)).site_packages
    assert (site_packages / "tiny.py").read_text() == "ANSWER = 42\n"


async def test_a_source_that_became_another_is_refused_before_it_runs(bench):
    async with bench({"tiny-1.0.tar.gz": sdist("tiny")}) as made:
        lock = await made.lock("tiny")
        shutil.rmtree(made.directory / "libraries/wheels")
        made.index.files["/files/tiny-1.0.tar.gz"] = sdist("tiny", backend="print('it ran')")
        with pytest.raises(
            BuildError, match=r"tiny-1\.0\.tar\.gz has the sha256 [0-9a-f]{64}; allowed: [0-9a-f]{64}"
        ):
            await made.libraries.provide(lock, made.lines.append)
    assert "it ran" not in made.lines


@pytest.mark.parametrize(("glibc", "is_taken"), [("2.40", True), ("2.34", False)])
async def test_compiled_code_that_the_base_of_images_does_not_load_is_refused(bench, glibc, is_taken):
    library = "EXTRA = {'tiny.libs/libtiny.so.1': 'GLIBC_2.2.5\\0 GLIBC_2.38\\0'}"
    async with bench({"tiny-1.0.tar.gz": sdist("tiny", backend=library)}, glibc=glibc) as made:
        if is_taken:
            assert await made.lock("tiny")
            return
        with pytest.raises(BuildError, match=r"tiny==1\.0, as it is built here, needs a C library of 2\.38"):
            await made.lock("tiny")


async def test_without_a_sandbox_nothing_is_built(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    images = LayoutImages(tmp_path / "images")
    libraries = UvDependencies(tmp_path / "libraries", images, python=PYTHON, platform="linux-x86_64-cp311")
    async with served(index_of({"tiny-1.0.tar.gz": sdist("tiny")})) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        with pytest.raises(BuildError, match=r"tiny: .*none works in the builder"):
            await libraries.lock(Requirements.parse(b"tiny"), [], NOTHING, print, builds=True)


async def test_a_source_of_an_index_that_is_a_directory_is_built(bench, tmp_path, monkeypatch):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/tiny-1.0.tar.gz").write_bytes(sdist("tiny"))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "links"))
    async with bench({}) as made:
        assert (await made.installed("tiny") / "tiny.py").exists()


async def test_a_zip_is_a_source_too_and_what_is_no_archive_is_refused(bench):
    packed = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(sdist("tiny"))) as plain, zipfile.ZipFile(packed, "w") as archive:
        for member in plain:
            archive.writestr(member.name, plain.extractfile(member).read())
    async with bench({"tiny-1.0.zip": packed.getvalue(), "other-1.0.tar.gz": b"no archive"}) as made:
        assert (await made.lock("tiny")).origins
        with pytest.raises(
            BuildError, match=r"other==1\.0 cannot be built .*other-1\.0\.tar\.gz is no archive"
        ):
            await made.lock("other")
