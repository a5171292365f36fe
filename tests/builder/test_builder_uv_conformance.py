"""What whoever runs uv promises, and fetches as it would: as this process itself, or in a sandbox."""
# ruff: noqa: F401, F811 - what is imported and not called are fixtures

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.builder.adapters.inspection.fetching import REFUSED
from services.builder.adapters.uv_command import PlainUv, Uv
from services.builder.adapters.uv_enclosed import EnclosedUv, InstallBounds
from tests.builder.test_builder_installing import PYTHON, WHEEL, Web, file_name, served
from tests.builder.test_builder_urls import authority, secure

TINY = file_name("tiny")
ENOUGH = 10**6


@pytest.fixture(params=["plain", "enclosed"])
def make_uv(request, tmp_path, monkeypatch) -> Callable[..., Uv]:
    """Makes what runs uv, with an empty cache; it is sent to the hosts that are given."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    if request.param == "plain":
        return lambda *hosts: PlainUv(hosts)
    sandbox = request.getfixturevalue("sandbox")
    return lambda *hosts: EnclosedUv(sandbox, InstallBounds(seconds=60), hosts)


@dataclass
class Fetched:
    code: int
    content: bytes | None
    lines: list[str]


async def fetched(
    uv: Uv, url: str, parent: Path, *, of_index: bool = False, most_bytes: int = ENOUGH
) -> Fetched:
    lines: list[str] = []
    with uv.directory(parent, "x-") as directory:
        into = directory / TINY
        code = await uv.fetch(url, into, of_index=of_index, most_bytes=most_bytes, on_line=lines.append)
        return Fetched(code, into.read_bytes() if into.exists() else None, lines)


def at(web: Web, path: str, host: str = "localhost") -> str:
    return f"https://{host}:{web.port}{path}"


async def test_a_command_ends_with_uvs_own_exit_code_and_words(make_uv, tmp_path):
    uv, lines = make_uv(), list[str]()
    with uv.directory(tmp_path, "x-") as directory:
        assert await uv.run(["--version"], directory=directory, on_line=lines.append) == 0
        assert lines[0].startswith("uv ")
        assert await uv.run(["nonsense"], directory=directory, on_line=lines.append) == 2
    assert any("unrecognized subcommand 'nonsense'" in line for line in lines)


async def test_a_commands_directory_takes_its_files_and_goes_with_it(make_uv, tmp_path):
    uv = make_uv()
    with uv.directory(tmp_path, "x-") as directory:
        (directory / "asked.in").touch()
        answer = directory / "lock.txt"
        command = [
            "pip",
            "compile",
            "--offline",
            "--python",
            str(PYTHON.resolve()),
            "--output-file",
            str(answer),
        ]
        assert await uv.run([*command, str(directory / "asked.in")], directory=directory, on_line=print) == 0
        assert answer.exists()
    assert not directory.exists()


async def test_a_file_of_an_index_comes_whole(make_uv, tmp_path, monkeypatch):
    async with served({f"/files/{TINY}": WHEEL}) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        found = await fetched(make_uv(), f"{index.url}/files/{TINY}", tmp_path, of_index=True)
    assert (found.code, found.content) == (0, WHEEL)


async def test_a_file_that_no_index_has_comes_whole(make_uv, secure, tmp_path):
    async with secure({f"/{TINY}": WHEEL}) as web:
        found = await fetched(make_uv(), at(web, f"/{TINY}"), tmp_path)
    assert (found.code, found.content) == (0, WHEEL)


async def test_a_file_that_is_not_there_is_refused_and_a_host_that_is_away_is_tried_again(
    make_uv,
    secure,
    tmp_path,
):
    async with secure({}) as web:
        absent = await fetched(make_uv(), at(web, f"/{TINY}"), tmp_path)
    away = await fetched(make_uv(), at(web, f"/{TINY}"), tmp_path)
    assert (absent.code, absent.content, absent.lines[-1]) == (
        REFUSED,
        None,
        "its host answers 404 Not Found",
    )
    assert (away.code, away.content) == (1, None)
    assert away.lines


async def test_a_file_that_is_larger_than_allowed_is_refused(make_uv, secure, tmp_path):
    async with secure({f"/{TINY}": WHEEL}) as web:
        found = await fetched(make_uv(), at(web, f"/{TINY}"), tmp_path, most_bytes=10)
        assert (found.code, found.lines[-1]) == (REFUSED, "it has more than 10 bytes")
        exact = await fetched(make_uv(), at(web, f"/{TINY}"), tmp_path, most_bytes=len(WHEEL))
    assert (exact.code, exact.content) == (0, WHEEL)


async def test_a_host_that_nobody_vouches_for_is_not_asked(make_uv, secure, tmp_path, monkeypatch):
    async with secure({f"/{TINY}": WHEEL}) as web:
        monkeypatch.delenv("SSL_CERT_FILE")
        found = await fetched(make_uv(), at(web, f"/{TINY}"), tmp_path)
    assert (found.code, web.asked) == (1, [])
    assert "CERTIFICATE_VERIFY_FAILED" in found.lines[-1]


async def test_a_redirect_leads_below_its_own_directory_and_to_hosts_that_the_operator_names_alone(
    make_uv,
    secure,
    tmp_path,
):
    async with secure({f"/{TINY}": WHEEL}) as there, secure({f"/{TINY}": WHEEL}) as web:
        url = at(web, f"/wheels/{TINY}")
        for elsewhere in (at(there, f"/{TINY}"), at(web, f"/{TINY}")):
            web.files[f"/wheels/{TINY}"] = elsewhere.encode()
            found = await fetched(make_uv(), url, tmp_path)
            assert (found.code, found.content) == (REFUSED, None)
            assert found.lines[-1] == f"it leads to {elsewhere}, which is not allowed"
        assert there.asked == []

        web.files |= {f"/wheels/{TINY}": at(web, f"/wheels/x/{TINY}").encode(), f"/wheels/x/{TINY}": WHEEL}
        assert (await fetched(make_uv(), url, tmp_path)).content == WHEEL
        web.files[f"/wheels/{TINY}"] = at(there, f"/{TINY}").encode()
        assert (await fetched(make_uv(f"localhost:{there.port}"), url, tmp_path)).content == WHEEL


@pytest.mark.parametrize(
    "path",
    ["localhost:{}/wheels/%2e%2E/{}", "localhost:{}/wheels/..%5c{}", "me:hunter2@localhost:{}/wheels/x/{}"],
)
async def test_a_redirect_hides_neither_a_way_up_nor_a_login(make_uv, secure, tmp_path, path):
    async with secure({}) as web:
        web.files[f"/wheels/{TINY}"] = f"https://{path.format(web.port, TINY)}".encode()
        found = await fetched(make_uv(), at(web, f"/wheels/{TINY}"), tmp_path)
    assert (found.code, len(web.asked)) == (REFUSED, 1)
    assert "which is not allowed" in found.lines[-1]
    assert "hunter2" not in "".join(found.lines)


async def test_a_redirect_to_what_is_no_https_is_told_without_its_login(make_uv, secure, tmp_path):
    async with secure({f"/{TINY}": b"git://me:hunter2@localhost/"}) as web:
        found = await fetched(make_uv(), at(web, f"/{TINY}"), tmp_path)
    assert (found.code, found.content) == (1, None)
    assert found.lines[-1] == "its host answers 302 with a redirect that is not followed"


async def test_a_login_of_netrc_goes_to_its_own_host_alone_and_into_no_log(
    make_uv,
    secure,
    tmp_path,
    monkeypatch,
):
    (tmp_path / "netrc").write_text(
        "machine localhost login me password hunter2\ndefault login a password b\n"
    )
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with secure({f"/{TINY}": WHEEL}) as there, secure({}) as web:
        web.files[f"/{TINY}"] = at(there, f"/{TINY}", "127.0.0.1").encode()
        found = await fetched(make_uv(f"127.0.0.1:{there.port}"), at(web, f"/{TINY}"), tmp_path)
    (head,), (other,) = web.asked, there.asked
    assert "Authorization: Basic bWU6aHVudGVyMg==" in head
    assert "Authorization" not in other
    assert (found.content, "hunter2" in "".join(found.lines)) == (WHEEL, False)


async def test_a_netrc_that_cannot_be_read_is_told_without_its_words(make_uv, secure, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine localhost login me\nhunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with secure({f"/{TINY}": WHEEL}) as web:
        found = await fetched(make_uv(), at(web, f"/{TINY}"), tmp_path)
    assert found.content == WHEEL
    assert any(line.startswith("netrc cannot be read (line ") for line in found.lines)
    assert "hunter2" not in "".join(found.lines)
