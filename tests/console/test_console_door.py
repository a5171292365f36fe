"""Who is let in."""

import pytest

from services.console import tokens
from services.console.domain.attempts import Attempts
from services.console.domain.token import Credential
from tests.console.conftest import bearer, uploaded

both = pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def ask(console):
    async def get(token, **headers):
        return await console.http.get("/v1/token", headers=bearer(token) | headers)

    return get


@both
async def test_a_token_tells_what_it_may_do(console, ask):
    answer = (await ask(await console.token("publish", "read"))).json()
    assert (answer["account"], answer["scopes"]) == ("risk", ["publish", "read"])
    assert "so1s.ModelUploaded.v1" in answer["may_say"]
    assert answer["expires_at"].endswith("Z")


@pytest.mark.parametrize("said", ["", "Basic eA==", "Bearer", "Bearer so1s_x_y", "Bearer \x7f"])
async def test_without_a_token_nobody_is_let_in(console, said):
    answer = await console.http.get("/v1/token", headers={"authorization": said})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_wrong_secret_is_answered_as_an_unknown_token(console, ask):
    token = await console.token()
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    unknown = Credential("0" * 12, "0" * 64).text
    answers = [await ask(wrong), await ask(unknown)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()


async def test_a_token_in_the_url_is_no_token(console):
    token = await console.token()
    answer = await console.http.get("/v1/token", params={"token": token, "access_token": token})
    assert answer.status_code == 401


@both
async def test_a_revoked_token_ends_at_once(console, ask):
    token = await console.token()
    async with console.service.store.transaction() as tx:
        assert await tokens.revoke(tx, token.split("_")[1], actor="operator:me")
    answer = await ask(token)
    assert answer.status_code == 401
    assert "it was revoked at" in answer.json()["detail"]


async def test_an_expired_token_says_since_when(console, ask):
    answer = await ask(await console.token(days=0))
    assert answer.status_code == 401
    assert "it expired at" in answer.json()["detail"]


@both
async def test_the_last_use_is_kept(console, ask):
    await ask(await console.token())
    async with console.service.store.read() as connection:
        (token,) = await tokens.all_of(connection, "risk")
    assert token.last_used_at >= token.created_at


async def test_a_secret_is_kept_nowhere(console, settings, tmp_path, ask):
    token = await console.token()
    await ask(token)
    await console.service.store.close()
    secret = token.split("_")[2].encode()
    for file in tmp_path.glob("console.db*"):
        assert secret not in file.read_bytes()


async def test_after_many_wrong_secrets_more_are_told_to_wait_but_whoever_has_the_token_is_let_in(
    console, ask, settings
):
    token = await console.token()
    wrong = token[:-2] + ("00" if token[-2:] != "00" else "11")
    for _ in range(settings.failed_attempts):
        assert (await ask(wrong)).status_code == 401
    answer = await ask(wrong)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= settings.failed_attempts_seconds
    assert (await ask(token)).status_code == 200
    assert (await ask(wrong)).status_code == 429
    assert (await ask(await console.token())).status_code == 200


def test_failures_are_forgotten_after_their_window():
    attempts, who = Attempts(2, 60), ("10.0.0.1", "a")
    for now in (0, 10):
        assert attempts.wait_seconds(who, now) == 0
        attempts.failed(who, now)
    assert attempts.wait_seconds(who, 20) == 40
    assert attempts.wait_seconds(("10.0.0.2", "a"), 20) == 0
    assert attempts.wait_seconds(who, 60) == 0
    attempts.failed(who, 60)
    assert attempts.wait_seconds(who, 61) == 0


def test_failures_of_any_number_of_addresses_take_bounded_memory():
    attempts = Attempts(1, 60)
    for number in range(10_050):
        attempts.failed((str(number), ""), 0)
    assert len(attempts._failures) == 10_000
    assert attempts.wait_seconds(("10049", ""), 1) == 59


def test_a_credential_shows_no_secret():
    credential = Credential("0" * 12, "f" * 64)
    assert "f" * 64 not in repr(credential)
    assert Credential.parse(credential.text) == credential


async def test_where_the_database_is_away_a_client_is_told_to_come_again(console):
    token = await console.token()
    await console.service.store.close()
    async with console.service.store.transaction() as tx:
        from sqlalchemy import text

        await tx.execute(text("DROP TABLE console_tokens"))
    answer = await console.post(token, uploaded())
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "console_tokens" not in answer.text
