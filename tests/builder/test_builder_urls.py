"""Packages come from URLs below what an operator names, by TLS, and nobody's reach grows by that."""

import asyncio
import hashlib
import io
import re
import ssl
import zipfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from services.builder.adapters import uv_enclosed
from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.index_access import access_below
from services.builder.adapters.source_builder import SourceBounds, SourceBuilder
from services.builder.adapters.uv_command import PlainUv, Uv
from services.builder.adapters.uv_enclosed import EnclosedUv, InstallBounds
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock
from so1s.errors import TemporaryError
from so1s.requirements import Requirements
from tests.builder.sources import index_of, sdist
from tests.builder.test_builder_installing import PYTHON, WHEEL, Web, file_name, served, wheel

TINY = file_name("tiny")
NOTHING = Lock("nothing", "")


class Redirects(Web):
    """A server that sends some paths elsewhere."""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        self.asked.append(head)
        if (content := self.files.get(path)) and content.startswith((b"https:", b"git:")):
            said = f"HTTP/1.1 302 Found\r\nLocation: {content.decode()}\r\nContent-Length: 0\r\n"
            writer.write(f"{said}Connection: close\r\n\r\n".encode())
        elif content:
            said = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
            writer.write(said.encode() + content)
        else:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority, tmp_path, monkeypatch):
    """Serves files by TLS, as `https://localhost:PORT/…`, to whoever trusts the test's authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)

    @asynccontextmanager
    async def secure(files: dict[str, bytes]):
        web = Redirects(files)
        server = await asyncio.start_server(web.answer, "127.0.0.1", 0, ssl=context)
        web.port = server.sockets[0].getsockname()[1]
        async with server:
            yield web

    return secure


@pytest.fixture
def libraries(sandbox, tmp_path, monkeypatch):
    """Makes libraries whose index is the one that is given."""

    def libraries(
        index: Web,
        *,
        hosts: tuple[str, ...] = (),
        builds: bool = True,
        torch_index: str | None = None,
        uv: Uv | None = None,
    ) -> UvDependencies:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        indexes = [torch_index] if torch_index else []
        uv = uv or EnclosedUv(sandbox, InstallBounds(seconds=120), hosts, indexes)
        return UvDependencies(
            tmp_path / "libraries",
            LayoutImages(tmp_path / "images"),
            python=PYTHON,
            platform="linux-x86_64-cp311",
            uv=uv,
            sources=SourceBuilder(sandbox, uv, SourceBounds(), PYTHON, None) if builds else None,
            torch_cpu_index=torch_index,
        )

    return libraries


def at(web: Web, path: str) -> str:
    return f"https://localhost:{web.port}{path}"


def requiring(name: str, *needs: str, version: str = "1.0") -> bytes:
    """A wheel that requires something."""
    packed, info = io.BytesIO(), f"{name}-{version}.dist-info"
    lines = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}")
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", "\n".join((*lines, *(f"Requires-Dist: {each}" for each in needs), ""))
        )
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/RECORD,,\n")
    return packed.getvalue()


async def locked(libraries: UvDependencies, text: str, log=print, **said) -> Lock:
    return await libraries.lock(Requirements.parse(text.encode()), [], NOTHING, log, **said)


async def test_a_wheel_from_a_url_is_locked_by_its_hash_and_installed_with_what_it_requires(
    secure, libraries
):
    own = wheel("tiny")
    index_files = index_of(
        {file_name("leaf"): wheel("leaf"), "tiny-1.0-py3-none-any.whl": wheel("tiny", b"other")}
    )
    async with secure({f"/wheels/{TINY}": own}) as web, served(index_files) as index:
        here = libraries(index)
        lock = await locked(here, f"tiny @ {at(web, f'/wheels/{TINY}')}\nleaf\n")
        site_packages = (await here.provide(lock, print)).site_packages

    (origin,) = lock.origins
    assert (origin.url, origin.of_index, origin.is_built) == (at(web, f"/wheels/{TINY}"), False, False)
    assert lock.hashes["tiny", "1.0"] == (hashlib.sha256(own).hexdigest(),)
    assert (site_packages / "tiny.bin").read_bytes() == b""  # of the URL, not of the index
    assert (site_packages / "leaf.py").exists()
    assert not list(site_packages.glob("*/direct_url.json"))


@pytest.mark.parametrize("of_url", ["tiny", "torch"])
async def test_pytorch_for_the_cpu_is_of_its_index_beside_a_url_unless_the_url_is_pytorchs_own(
    secure, libraries, of_url
):
    file, cpu = file_name(of_url), file_name("torch", "1.0+cpu")
    async with (
        secure({f"/wheels/{file}": wheel(of_url)}) as web,
        served(index_of({})) as index,
        served(index_of({cpu: wheel("torch", version="1.0+cpu")})) as torch,
    ):
        here = libraries(index, torch_index=f"{torch.url}/simple")
        asked = f"{of_url} @ {at(web, f'/wheels/{file}')}\ntorch\n"
        lock = await locked(here, asked, on_cpu=True)
        site_packages = (await here.provide(lock, print)).site_packages

    names = {each.name for each in site_packages.glob("*.dist-info")}
    expected = {"tiny": {"tiny-1.0.dist-info", "torch-1.0+cpu.dist-info"}, "torch": {"torch-1.0.dist-info"}}
    assert names == expected[of_url]


async def test_a_source_from_a_url_is_built_like_one_of_an_index(secure, libraries):
    source = sdist("tiny", needs=["leaf"])
    async with (
        secure({"/src/tiny-1.0.tar.gz": source}) as web,
        served(index_of({file_name("leaf"): wheel("leaf")})) as index,
    ):
        lock = await locked(libraries(index), f"tiny @ {at(web, '/src/tiny-1.0.tar.gz')}")

    assert lock.hashes.keys() == {("leaf", "1.0"), ("tiny", "1.0")}
    assert [each.is_built for each in lock.origins] == [True]


async def test_extras_and_markers_of_a_package_from_a_url_are_heeded(secure, libraries):
    files = {TINY: wheel("tiny", b"of the index"), file_name("top"): requiring("top", "tiny")}
    async with secure({f"/{TINY}": wheel()}) as web, served(index_of(files)) as index:
        asked = f"tiny @ {at(web, f'/{TINY}')} ; python_version < '3'"
        lock = await locked(libraries(index), asked)
        assert (lock.hashes, lock.origins) == ({}, ())

        lock = await locked(libraries(index), f"{asked}\ntop")
    assert lock.hashes["tiny", "1.0"] == (hashlib.sha256(files[TINY]).hexdigest(),)
    assert lock.origins == ()


@pytest.mark.parametrize("is_plain", [True, False])
@pytest.mark.parametrize("scheme", ["", "git+"])
async def test_a_url_that_a_package_requires_is_refused_before_anybody_follows_it(
    secure, libraries, scheme, is_plain
):
    """Of the index, whose login uv has; without a sandbox, of any host."""
    async with secure({}) as web, served({f"/private/{file_name('leaf')}": wheel("leaf")}) as index:
        need = f"leaf @ {scheme}{index.url}/private/{file_name('leaf')}"
        web.files[f"/{TINY}"] = requiring("tiny", need)
        here = libraries(index, uv=PlainUv() if is_plain else None)
        with pytest.raises(BuildError, match=r"tiny==1\.0 requires 'leaf @ .*; allowed: packages of the"):
            await locked(here, f"tiny @ {at(web, f'/{TINY}')}")
    assert not any("/private/" in head for head in index.asked)


async def test_a_url_of_an_extra_is_not_followed_whoever_asks_for_the_extra(secure, libraries):
    async with secure({}) as web, served({}) as index:
        need = f"leaf @ {index.url}/private/{file_name('leaf')} ; extra == 'more'"
        web.files[f"/{TINY}"] = requiring("tiny", need)
        index.files |= index_of({file_name("top"): requiring("top", "tiny[more]")})
        here = libraries(index)
        lock = await locked(here, f"tiny @ {at(web, f'/{TINY}')}\ntop")
        assert lock.hashes.keys() == {("tiny", "1.0"), ("top", "1.0")}
        assert (await here.provide(lock, print)).site_packages.joinpath("tiny.py").exists()
    assert not any("/private/" in head for head in index.asked)


async def test_a_wheel_of_a_local_version_comes_from_its_url(secure, libraries):
    own, path = requiring("tiny", version="1.0+cu1"), "/tiny-1.0+cu1-py3-none-any.whl"
    async with secure({path: own}) as web, served({}) as index:
        here = libraries(index)
        lock = await locked(here, f"tiny @ {at(web, path)}")
        site_packages = (await here.provide(lock, print)).site_packages
    assert lock.hashes == {("tiny", "1.0+cu1"): (hashlib.sha256(own).hexdigest(),)}
    assert (site_packages / "tiny.py").exists()


async def test_a_file_that_changed_since_it_was_locked_is_refused(secure, libraries, tmp_path):
    async with secure({f"/{TINY}": wheel()}) as web, served({}) as index:
        here = libraries(index)
        lock = await locked(here, f"tiny @ {at(web, f'/{TINY}')}")
        web.files[f"/{TINY}"] = wheel("tiny", b"another")
        for made in (tmp_path / "libraries/wheels").glob("*/installed"):
            made.unlink()
        with pytest.raises(BuildError, match=rf"{TINY} has the sha256 [0-9a-f]+; allowed: [0-9a-f]+"):
            await here.provide(lock, print)


@pytest.mark.parametrize("how", ["#sha256={}", " --hash=sha256:{}"])
async def test_a_file_has_the_hash_that_its_author_said(secure, libraries, how):
    async with secure({f"/{TINY}": WHEEL}) as web, served({}) as index:
        with pytest.raises(BuildError, match="no file with a hash that the requirements allow"):
            await locked(libraries(index), f"tiny @ {at(web, f'/{TINY}')}{how.format('0' * 64)}")
        right = how.format(hashlib.sha256(WHEEL).hexdigest())
        assert (await locked(libraries(index), f"tiny @ {at(web, f'/{TINY}')}{right}")).origins


async def test_a_file_that_is_not_there_is_a_failed_build_and_a_host_that_is_away_puts_it_off(
    secure, libraries
):
    async with secure({}) as web, served({}) as index:
        with pytest.raises(
            BuildError, match=r"tiny==1\.0 cannot be had from https://.*: its host answers 404"
        ):
            await locked(libraries(index), f"tiny @ {at(web, f'/{TINY}')}")
    with pytest.raises(TemporaryError, match=r"tiny==1\.0 cannot be had from https://.* now: "):
        await locked(libraries(index), f"tiny @ {at(web, f'/{TINY}')}")


async def test_only_the_run_that_fetches_a_file_reaches_its_host(
    secure, libraries, sandbox, tmp_path, monkeypatch
):
    """uv itself, which reads what strangers packed, asks for the host of a URL in the same build."""
    probe = f"""#!{PYTHON.resolve()} -S
import os, socket
proxy = int(os.environ["HTTP_PROXY"].rpartition(":")[2])
with socket.create_connection(("127.0.0.1", proxy), timeout=10) as there:
    there.sendall(b"CONNECT localhost:PORT HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    print(there.recv(100).split(b"\\r\\n")[0].decode())
"""
    async with secure({f"/{TINY}": wheel()}) as web, served({}) as index:
        here = libraries(index)
        await here.provide(await locked(here, f"tiny @ {at(web, f'/{TINY}')}"), print)
        assert len(web.asked) == 1

        (tmp_path / "uv").write_text(probe.replace("PORT", str(web.port)))
        (tmp_path / "uv").chmod(0o755)
        uv, lines = EnclosedUv(sandbox, InstallBounds(), []), list[str]()
        monkeypatch.setattr(uv_enclosed.uv, "find_uv_bin", lambda: str(tmp_path / "uv"))
        with uv.directory(tmp_path, "x-") as directory:
            await uv.run(["pip"], directory=directory, on_line=lines.append)
    assert [line for line in lines if line.startswith("HTTP")] == ["HTTP/1.1 403 Forbidden"]
    assert len(web.asked) == 1


def test_what_fetches_from_a_url_reaches_no_index():
    access = access_below(
        ["https://files.example.org:8443/a/", "https://cdn.example.org/"], {"HOME": "/nobody"}
    )
    assert access.hosts == {("files.example.org", 8443), ("cdn.example.org", 443)}
    assert (access.files, access.logins) == ((), {})


async def test_uv_builds_nothing_whatever_it_is_asked(sandbox, tmp_path, monkeypatch):
    """What holds where uv took a source's metadata from the source in spite of ours."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    uv, lines = EnclosedUv(sandbox, InstallBounds(), []), list[str]()
    source = sdist("tiny", backend="print('it ran')\nraise SystemExit(1)")
    async with served(index_of({"tiny-1.0.tar.gz": source})) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        with uv.directory(tmp_path, "x-") as directory:
            (directory / "asked.in").write_text("tiny")
            command = ["pip", "compile", "--python", str(PYTHON), str(directory / "asked.in")]
            assert await uv.run(command, directory=directory, on_line=lines.append)
    assert re.search(r"Read-only file system", "\n".join(lines))
    assert not any("it ran" in line for line in lines)


async def test_without_a_sandbox_wheels_come_from_urls_all_the_same(secure, tmp_path, monkeypatch):
    images = LayoutImages(tmp_path / "images")
    plain = UvDependencies(tmp_path / "plain", images, python=PYTHON, platform="linux-x86_64-cp311")
    async with secure({f"/{TINY}": wheel()}) as web, served({}) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        lock = await locked(plain, f"tiny @ {at(web, f'/{TINY}')}")
        assert (Path((await plain.provide(lock, print)).site_packages) / "tiny.py").exists()
