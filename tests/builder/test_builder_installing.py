"""Libraries are locked and installed in a sandbox, which leads to the index and nowhere else."""

import ast
import asyncio
import base64
import hashlib
import io
import sys
import zipfile
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from services.builder.adapters import uv_enclosed
from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.index_access import index_access, proxy_to
from services.builder.adapters.uv_enclosed import EnclosedUv, InstallBounds
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock
from services.builder.locks import shipped
from services.builder.packages import runtime_needs
from services.builder.settings import Settings
from so1s.errors import TemporaryError
from so1s.requirements import Requirements
from tests.builder.test_builder_dependencies import small_lock

PYTHON = Path(sys._base_executable)


def wheel(
    name: str = "tiny", data: bytes = b"", *, version: str = "1.0", needs: tuple[str, ...] = ()
) -> bytes:
    """A library of one module, and data beside it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{name}.py", "ANSWER = 42\n")
        archive.writestr(f"{name}.bin", data)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
        archive.writestr(f"{name}-{version}.dist-info/METADATA", metadata)
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", tags)
        listed = (f"{name}.py", f"{name}.bin", f"{name}-{version}.dist-info/RECORD")
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "".join(f"{path},,\n" for path in listed))
    return packed.getvalue()


def file_name(name: str, version: str = "1.0") -> str:
    return f"{name}-{version}-py3-none-any.whl"


def link_to(name: str, data: bytes, where: str = "/files", *, version: str = "1.0") -> bytes:
    """The page of a library whose wheel has these bytes."""
    sha256 = hashlib.sha256(data).hexdigest()
    file = file_name(name, version)
    return f'<a href="{where}/{file}#sha256={sha256}">{file}</a>'.encode()


WHEEL = wheel()
NO_EXCEPTION = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)"
"""Let a process that writes too much end as others than Python's do."""
MANY_FILES = """
import time
for each in range(64):
    open(PLACE + str(each), "wb").write(b"x" * 2**20)
time.sleep(60)
"""
NAME = file_name("tiny")
SHA256 = hashlib.sha256(WHEEL).hexdigest()
TINY = Lock("tiny", f"tiny==1.0 \\\n    --hash=sha256:{SHA256}\n")


@dataclass
class Web:
    """A server of files, which is an HTTP proxy, too."""

    files: dict[str, bytes]
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await self._answer(reader, writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head)
        method, target, _version = head.split("\r\n")[0].split(" ")
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            if not target.endswith(":443"):  # TLS is not spoken here
                await self._answer(reader, writer)
            return
        content = self.files.get(target)
        status = "404 Not Found" if content is None else "200 OK"
        kind = "text/html" if target.endswith("/") else "application/octet-stream"
        length = f"Content-Length: {len(content or b'')}\r\nConnection: close"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode())
        writer.write(b"" if method == "HEAD" else content or b"")
        await writer.drain()


@asynccontextmanager
async def served(files: dict[str, bytes]):
    web = Web(files)
    server = await asyncio.start_server(web.answer, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    async with server:
        yield web


def page(where: str) -> dict[str, bytes]:
    return {"/simple/tiny/": link_to("tiny", WHEEL, where)}


@pytest.fixture
def enclosed(sandbox, tmp_path, monkeypatch):
    """Makes what runs uv, with an empty cache; with a `script` in Python in uv's place."""

    def make(script: str | None = None, hosts: tuple[str, ...] = (), **bounds: float) -> EnclosedUv:
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        made = EnclosedUv(sandbox, InstallBounds(**{"seconds": 60, **bounds}), hosts)
        if script is not None:
            (tmp_path / "uv").write_text(f"#!{PYTHON.resolve()} -S\nimport os\n{script}\n")
            (tmp_path / "uv").chmod(0o755)
            monkeypatch.setattr(uv_enclosed.uv, "find_uv_bin", lambda: str(tmp_path / "uv"))
        return made

    return make


def source(directory: Path, uv: EnclosedUv | None) -> UvDependencies:
    images = LayoutImages(directory / "images")
    platform = "linux-x86_64-cp311"
    return UvDependencies(directory / "libraries", images, python=PYTHON, platform=platform, uv=uv)


async def said_by(uv: EnclosedUv, tmp_path: Path) -> list[str]:
    lines: list[str] = []
    with uv.directory(tmp_path, "x-") as directory:
        await uv.run(["pip"], directory=directory, on_line=lines.append)
    return lines


async def test_what_is_locked_and_installed_in_the_sandbox_is_what_it_is_without(tmp_path, sandbox):
    uv, asked = EnclosedUv(sandbox, InstallBounds(), []), Requirements(["attrs==25.3.0"])
    found = []
    for name, each in {"in": uv, "out": None}.items():
        libraries = source(tmp_path / name, each)
        needed = runtime_needs(["python"])
        lock = await libraries.lock(asked, needed, shipped("python"), print, on_cpu=True)
        provided = await libraries.provide(small_lock(), print)
        assert (provided.site_packages / "uvicorn/__init__.py").exists()
        found.append((lock, provided.layer))

    assert found[0] == found[1]


async def test_packages_of_an_index_on_one_host_are_installed(tmp_path, enclosed, monkeypatch):
    async with served({**page("/files"), f"/files/{NAME}": WHEEL}) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        tools = await source(tmp_path, enclosed()).install(TINY, print)

    assert (tools.site_packages / "tiny.py").read_text() == "ANSWER = 42\n"
    assert not list((tmp_path / "cache").glob(uv_enclosed.SCRATCH))


async def test_files_on_a_host_that_nobody_named_are_refused_by_name(tmp_path, enclosed, monkeypatch):
    lines: list[str] = []
    async with served({f"/{NAME}": WHEEL}) as files, served(page(files.url)) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        with pytest.raises(BuildError, match=r"packages lie on 127\.0\.0\.1; allowed: .*SO1S_PACKAGE_HOSTS"):
            await source(tmp_path, enclosed()).install(TINY, lines.append)

        assert f"refused: 127.0.0.1:{files.port} is no host of the index" in lines
        assert files.asked == []


async def test_files_on_a_host_that_the_operator_named_are_installed(tmp_path, enclosed, monkeypatch):
    async with served({f"/{NAME}": WHEEL}) as files, served(page(files.url)) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        uv = enclosed(hosts=(f"127.0.0.1:{files.port}",))
        tools = await source(tmp_path, uv).install(TINY, print)

    assert (tools.site_packages / "tiny.py").exists()


async def test_an_index_that_is_away_puts_the_build_off_and_the_log_says_where_it_is(
    tmp_path, enclosed, monkeypatch
):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    lines: list[str] = []

    with pytest.raises(TemporaryError, match="libraries of tiny cannot be installed now"):
        await source(tmp_path, enclosed()).install(TINY, lines.append)

    assert any(line.startswith("cannot connect to 127.0.0.1:1: ") for line in lines)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_index_is_reached_by_this_machines_proxy_whose_password_stays_outside(
    tmp_path, enclosed, monkeypatch, scheme
):
    script = f"""
from urllib.request import urlopen
print(dict(os.environ))
try:
    print(urlopen("{scheme}://index.example.org/simple/").read())
except Exception as error:
    print(error)
"""
    uv = enclosed(script)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{scheme}://index.example.org/simple")
    async with served({"/simple/": b"by the proxy"}) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:hunter2@127.0.0.1:{proxy.port}")
        told, *answer = await said_by(uv, tmp_path)

    login = base64.b64encode(b"me:hunter2").decode()
    assert f"Proxy-Authorization: Basic {login}".lower() in proxy.asked[0].lower()
    assert proxy.asked[0].startswith("CONNECT index.example.org:")
    assert "hunter2" not in told
    assert scheme == "https" or answer == ["b'by the proxy'"]


async def test_uv_has_no_network_but_the_index(tmp_path, enclosed, monkeypatch):
    script = """
import socket
from urllib.request import urlopen
proxy = int(os.environ["HTTP_PROXY"].rpartition(":")[2])
def told(line):
    with socket.create_connection(("127.0.0.1", proxy), timeout=60) as there:
        there.sendall(line + b"\\r\\nHost: x\\r\\n\\r\\n")
        return there.recv(100).split(b"\\r\\n")[0].decode()
try:
    socket.create_connection(("127.0.0.1", PORT), timeout=5)
except OSError as error:
    print([error.strerror])
print([told(line) for line in (
    b"CONNECT 127.0.0.1:PORT HTTP/1.1", b"GET http://127.0.0.1:PORT/ HTTP/1.1", b"CONNECT 127.0.0.1 HTTP/1.1",
    b"POST http://127.0.0.1:INDEX/ HTTP/1.1", b"CONNECT : HTTP/1.1", b"nonsense",
    b"GET http://127.0.0.1:INDEX/simple/tiny/ HTTP/1.1",
)])
"""
    async with served({}) as other, served(page("/files")) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        uv = enclosed(script.replace("PORT", str(other.port)).replace("INDEX", str(index.port)))
        direct, relayed = map(ast.literal_eval, [*filter(_is_list, await said_by(uv, tmp_path))])

    assert direct == ["Connection refused"]
    assert [line.split(" ")[1] for line in relayed] == ["403", "403", "403", "405", "400", "400", "200"]
    assert other.asked == []


async def test_a_second_request_on_one_connection_goes_nowhere(tmp_path, enclosed, monkeypatch):
    script = """
import socket
proxy = int(os.environ["HTTP_PROXY"].rpartition(":")[2])
request = b"GET http://127.0.0.1:INDEX/simple/tiny/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
with socket.create_connection(("127.0.0.1", proxy), timeout=60) as there:
    there.sendall(2 * request)
    print([there.makefile("rb").read().count(b"200 OK")])
"""
    async with served(page("/files")) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        uv = enclosed(script.replace("INDEX", str(index.port)))
        assert await said_by(uv, tmp_path) == ["[1]"]
    assert len(index.asked) == 1


async def test_uv_sees_neither_secrets_nor_files_nor_processes_of_this_machine(
    tmp_path, enclosed, monkeypatch
):
    monkeypatch.setenv("SO1S_SECRET", "hunter2")
    monkeypatch.setenv("UV_INDEX_URL", "https://index.example.org/simple")
    secret = tmp_path / "secret"
    secret.touch()
    script = f"""
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(dict(os.environ))
theirs = ({str(secret)!r}, "/etc/shadow", "/run", {str(Path.cwd())!r})
print([path for path in theirs if os.path.exists(path)])
print([os.getuid(), *(status[name].strip() for name in ("CapEff", "NoNewPrivs", "Seccomp"))])
print(len([name for name in os.listdir("/proc") if name.isdigit()]))
def may_write(place):
    try:
        open(place, "w").close()
    except OSError:
        return False
    return True
writable = ("/usr/x", "/opt/so1s/x", "/x", "/proc/sys/kernel/core_pattern", os.environ["UV_CACHE_DIR"] + "/x")
print([may_write(place) for place in writable])
"""
    environment, files, rights, processes, written = await said_by(enclosed(script), tmp_path)

    assert "hunter2" not in environment
    assert "https://index.example.org/simple" in environment  # its own business
    assert ast.literal_eval(files) == []
    assert ast.literal_eval(rights) == [65534, "0000000000000000", "1", "2"]
    assert int(processes) == 3  # bubblewrap's first one, the one that watches, and its own
    assert ast.literal_eval(written) == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("evil", "bounds", "said"),
    [
        ("while True: pass", {"seconds": 1}, "processor_seconds|did not end within 1 s"),
        ("x = b'x' * 2**28\nimport time\ntime.sleep(60)", {"memory_mib": 128}, "134217728 memory_bytes"),
        (
            f"{NO_EXCEPTION}\nopen(PLACE, 'wb').write(b'x' * 2**24)",
            {"written_mib": 8},
            "8388608 written_bytes",
        ),
        (MANY_FILES, {"written_mib": 8}, "8388608 written_bytes"),
    ],
)
async def test_what_takes_more_than_its_bounds_is_ended(tmp_path, enclosed, evil, bounds, said):
    uv = enclosed("PLACE = os.environ['UV_CACHE_DIR'] + '/x'\n" + evil, **bounds)
    with pytest.raises((BuildError, TemporaryError), match=said):
        await said_by(uv, tmp_path)


def test_the_public_index_is_reached_with_its_files_where_none_is_named():
    access = index_access({"HOME": "/nobody"}, ["CDN.example.org".lower(), "mirror.example.org:8443"])
    assert access.hosts == {
        ("pypi.org", 443),
        ("files.pythonhosted.org", 443),
        ("cdn.example.org", 443),
        ("mirror.example.org", 8443),
    }


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ({"UV_DEFAULT_INDEX": "https://u:p@a.example.org/simple"}, {("a.example.org", 443)}),
        (
            {"UV_INDEX_URL": "http://A.example.org:81/", "UV_INDEX": "n=https://b.example.org https://c.org"},
            {("a.example.org", 81), ("b.example.org", 443), ("c.org", 443)},
        ),
        (
            {"UV_FIND_LINKS": "https://b.example.org/links"},
            {("b.example.org", 443), ("pypi.org", 443), ("files.pythonhosted.org", 443)},
        ),
    ],
)
def test_the_indexes_of_the_environment_are_reached(environment, hosts):
    assert index_access({"HOME": "/nobody", **environment}, []).hosts == hosts


@pytest.mark.parametrize(
    "said",
    [
        'index-url = "https://a.example.org"',
        '[[index]]\nurl = "https://a.example.org"\ndefault = true',
        '[pip]\nindex-url = "https://a.example.org"',
        '[[index]]\nurl = "https://a.example.org"\ndefault = true\n[pip]\nfind-links = ["/nowhere"]',
    ],
)
def test_the_indexes_of_the_configuration_are_reached_and_it_is_shown(tmp_path, said):
    file = tmp_path / ".config/uv/uv.toml"
    file.parent.mkdir(parents=True)
    file.write_text(said)
    (tmp_path / ".netrc").touch()

    access = index_access({"HOME": str(tmp_path)}, [])

    assert access.hosts == {("a.example.org", 443)}
    assert set(access.files) >= {file, tmp_path / ".netrc"}


def test_an_index_that_is_a_directory_is_shown(tmp_path):
    access = index_access({"HOME": "/nobody", "UV_FIND_LINKS": str(tmp_path)}, [])
    assert tmp_path in access.files


def test_what_needs_no_proxy_has_none(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "inside.example.org")
    assert proxy_to("https", ("pypi.org", 443)) == "http://proxy.example.org:3128"
    assert proxy_to("https", ("a.inside.example.org", 443)) is None
    assert proxy_to("http", ("pypi.org", 80)) is None


@pytest.mark.parametrize("said", ["https://a.example.org", "a.example.org/x", "a:b", "u@a.example.org", ":1"])
def test_what_is_no_host_is_refused_at_the_start(said):
    with pytest.raises(ValidationError, match="allowed: HOST or HOST:PORT"):
        Settings(database_url=SecretStr("sqlite://"), package_hosts=[said])


def _is_list(line: str) -> bool:
    return line.startswith("[")
