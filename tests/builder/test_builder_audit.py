"""What is known against packages is said where it is asked for, and fails a build where that is wished."""

import json
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr, ValidationError

from services.builder.adapters.advisories_osv import OsvAdvisories
from services.builder.audit import Audit
from services.builder.domain.lock import Lock, Origin
from services.builder.ports import Tools
from services.builder.settings import Settings
from so1s.errors import TemporaryError
from tests.builder.working import kinds

KNOWN = {("jinja2", "2.4.1"): ["PYSEC-2014-8", "GHSA-462w-v97r-4m45"]}


@dataclass
class Osv:
    """A server that answers in the format of OSV's documentation, with an advisory a page."""

    url: str
    asked: list[dict] = field(default_factory=list)

    def answer(self, request: dict) -> dict:
        self.asked += request["queries"]
        return {"results": [self._result(query) for query in request["queries"]]}

    def _result(self, query: dict) -> dict:
        assert query["package"]["ecosystem"] == "PyPI"
        ids = KNOWN.get((query["package"]["name"], query["version"]), [])
        page = int(query.get("page_token", 0))
        if page >= len(ids):
            return {}
        vulns = {"vulns": [{"id": ids[page], "modified": "2024-01-01T00:00:00Z"}]}
        return vulns | ({"next_page_token": str(page + 1)} if page + 1 < len(ids) else {})


@contextmanager
def served(status: int = 200, body: bytes | None = None):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/querybatch"
            data = json.dumps(osv.answer(request)).encode() if body is None else body
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_said: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        osv = Osv(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield osv
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def libraries(tmp_path) -> Tools:
    """Two packages, of which one has known vulnerabilities."""
    for name, version in (("Jinja2", "2.4.1"), ("attrs", "25.3.0")):
        home = tmp_path / f"site/{name}-{version}.dist-info"
        home.mkdir(parents=True)
        (home / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return Tools(Lock("l", ""), tmp_path / "site")


async def test_what_built_a_package_from_source_is_audited_too(libraries):
    built = Origin("attrs", "25.3.0", "https://x/attrs-25.3.0.tar.gz", "a" * 64, tools="jinja2==2.4.1 \\\n")
    lock = Lock("l", f"attrs==25.3.0 --hash=sha256:{'a' * 64}\n").telling([built])
    shutil.rmtree(libraries.site_packages / "Jinja2-2.4.1.dist-info")
    with served() as osv:
        audit = Audit(OsvAdvisories(osv.url), refuses=False)
        (said,) = await audit.warnings(replace(libraries, lock=lock), print)
    assert said.startswith("known vulnerabilities of jinja2 2.4.1, which built others: ")


async def test_all_that_is_known_is_told_of_each_package(libraries):
    lines: list[str] = []
    with served() as osv:
        told = await Audit(OsvAdvisories(osv.url), refuses=False).warnings(libraries, lines.append)

    assert told == ["known vulnerabilities of jinja2 2.4.1: GHSA-462w-v97r-4m45, PYSEC-2014-8"]
    assert lines == ["2 packages audited, 1 with known vulnerabilities", f"WARNING: {told[0]}"]
    assert {each["package"]["name"] for each in osv.asked} == {"jinja2", "attrs"}


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (200, b"no json"), (200, b"[]"), (200, b'{"results": []}')]
)
async def test_who_does_not_answer_is_named_and_fails_no_build(libraries, status, body):
    with served(status, body) as osv:
        audit = Audit(OsvAdvisories(osv.url), refuses=False)
        (told,) = await audit.warnings(libraries, lambda _line: None)
        with pytest.raises(TemporaryError, match=osv.url):
            await replace(audit, refuses=True).warnings(libraries, lambda _line: None)

    assert told.startswith(f"its packages were not audited for known vulnerabilities: {osv.url}")


@pytest.fixture
async def build(shop, skops_model, libraries, monkeypatch):
    """Builds an image of the packages, with an audit."""

    async def build(url: str, *, refuses: bool):
        provide = shop.world.dependencies.provide

        async def provided(lock, log):
            return replace(await provide(lock, log), site_packages=libraries.site_packages)

        monkeypatch.setattr(shop.world.dependencies, "provide", provided)
        shop.world = replace(shop.world, audit=Audit(OsvAdvisories(url), refuses))
        await shop.say(shop.uploaded(data=skops_model))
        await shop.worker().work()
        return (await shop.emitted())[-1]

    return build


async def test_an_image_bears_what_is_known_against_its_packages(build, shop):
    with served() as osv:
        built = await build(osv.url, refuses=False)

    assert kinds([built]) == ["ImageBuilt"]
    assert any("jinja2 2.4.1" in each for each in built.warnings)
    assert any("WARNING: known vulnerabilities of jinja2" in line for line in await shop.log())


async def test_a_build_fails_where_the_operator_lets_no_vulnerability_in(build):
    with served() as osv:
        failed = await build(osv.url, refuses=True)

    assert kinds([failed]) == ["BuildFailed"]
    assert failed.reason == "dependencies"
    assert "jinja2 2.4.1: GHSA-462w-v97r-4m45, PYSEC-2014-8" in failed.message


@pytest.mark.parametrize(
    "said",
    [{"advisories_url": "api.osv.dev"}, {"advisories_url": "ftp://api.osv.dev"}, {"advisories_refuse": True}],
)
def test_settings_that_ask_nobody_are_refused_at_the_start(said):
    with pytest.raises(ValidationError, match="allowed: "):
        Settings(database_url=SecretStr("sqlite://"), **said)
