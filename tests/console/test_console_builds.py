"""The builds of a token's account and their logs, as a builder tells them; another account's never."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from services.console.app import build
from tests.console.building import SECRET, Served
from tests.console.conftest import Asked, bearer
from tests.tables import make_tables

LOG = "/v1/builds/risk/fraud/3/log"


async def test_the_builds_of_the_tokens_account_are_listed(builder, console):
    answer = await console.http.get("/v1/builds", headers=bearer(await console.token("read")))
    assert answer.status_code == 200
    (build,) = answer.json()["builds"]
    assert (build["account"], build["model"], build["version"], build["state"]) == (
        *("risk", "fraud", "3", "queued"),
    )


@pytest.mark.parametrize(("chosen", "count"), [("state=queued", 1), ("state=built", 0), ("model=other", 0)])
async def test_builds_are_chosen_by_model_and_state(builder, console, chosen, count):
    answer = await console.http.get(f"/v1/builds?{chosen}", headers=bearer(await console.token("read")))
    assert len(answer.json()["builds"]) == count


async def test_a_log_is_read_whole_and_line_by_line(builder, console):
    headers = bearer(await console.token("publish"))
    assert (await console.http.get(LOG, headers=headers)).text == "fetch: started\n"
    news = (await console.http.get(f"{LOG}/lines?after=0", headers=headers)).json()
    assert (news["lines"], news["build"]["state"]) == (["fetch: started"], "queued")
    assert (await console.http.get(f"{LOG}/lines?after=1", headers=headers)).json()["lines"] == []


HOSTILE = [
    "/v1/builds?account=shop",
    "/v1/builds?account=risk&account=shop",
    "/v1/builds?model=fraud%26account%3Dshop",
    "/v1/builds?state=queued%26account%3Dshop",
    "/v1/builds/shop/fraud/3/log",
    "/v1/builds/shop/fraud/3/log/lines?after=0",
    "/v1/builds/risk/..%2F..%2Fshop/fraud/3/log",
    "/v1/builds/risk/%2e%2e/shop/log",
    "/v1/builds/risk/%252e%252e%252fshop%252ffraud/3/log",
    "/v1/builds/risk/fraud/3%3Faccount=shop/log",
    "/v1/builds/risk/fraud/3/log?account=shop",
    "/v1/builds/risk/fraud/..%5C3/log/lines",
]


@pytest.mark.parametrize("path", HOSTILE)
async def test_no_token_reads_anything_of_another_account(builder, console, path):
    answer = await console.http.get(path, headers=bearer(await console.token()))
    assert SECRET not in answer.text
    assert not any(each["account"] != "risk" for each in _builds(answer))


def _builds(answer: httpx.Response) -> list[dict]:
    if answer.status_code != 200 or "json" not in answer.headers["content-type"]:
        return []
    said = answer.json()
    return said.get("builds") or [each for each in [said.get("build")] if each]


@pytest.mark.parametrize(
    "path", ["/v1/builds?account=shop", "/v1/builds/shop/fraud/3/log", "/v1/builds/shop/no/1/log"]
)
async def test_who_asks_for_another_account_is_refused_whether_or_not_there_is_such_a_build(
    builder, console, path
):
    answer = await console.http.get(path, headers=bearer(await console.token()))
    assert answer.status_code == 403
    (problem,) = answer.json()["problems"]
    assert problem["allowed"] == "allowed: 'risk', the account of this token"


@pytest.mark.parametrize("path", ["/v1/builds", LOG, f"{LOG}/lines"])
async def test_a_stranger_is_told_nothing(builder, console, path):
    assert (await console.http.get(path)).status_code == 401


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/builds/risk/fraud/4/log", 404, "risk/fraud@4 was never uploaded"),
        ("/v1/builds/risk/fraud/4/log/lines", 404, "risk/fraud@4 was never uploaded"),
        ("/v1/builds/risk/No/4/log", 400, "model"),
        (f"{LOG}/lines?after=-1", 400, "a number of lines from 0"),
    ],
)
async def test_what_is_not_there_is_told_in_the_builders_words(builder, console, path, status, said):
    answer = await console.http.get(path, headers=bearer(await console.token("read")))
    assert answer.status_code == status
    assert said in answer.json()["detail"]


async def test_a_console_without_a_builder_says_which_setting_names_one(console):
    answer = await console.http.get("/v1/builds", headers=bearer(await console.token("read")))
    assert answer.status_code == 404
    assert "SO1S_BUILDER_URL" in answer.json()["detail"]


@pytest.mark.parametrize("kind", ["away", "failing", "strange"])
async def test_while_the_builder_is_away_the_same_request_may_be_sent_again(settings, kind):
    def answer(_request):
        return PlainTextResponse("oh", 500) if kind == "failing" else PlainTextResponse("<html>", 404)

    async with Served(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        there = "http://127.0.0.1:1" if kind == "away" else url
        service = build(settings.model_copy(update={"builder_url": there}))
        await make_tables(service.store, "services.console.migrations")
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as http:
            token = await Asked(service, http).token("read")
            for path in ("/v1/builds", LOG, f"{LOG}/lines"):
                found = await http.get(path, headers=bearer(token))
                assert (found.status_code, found.headers["retry-after"]) == (503, "2")
                assert found.json()["title"] == "Not available"
        await service.store.close()
