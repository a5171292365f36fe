import httpx
import pytest

from services.collector.adapters.prometheus.api import Prometheus, TokenFile, Value
from services.collector.settings import Settings
from so1s.errors import Unreachable


def answering(answer, auth=None):
    """A Prometheus whose every answer is the same, or an error; and the requests that it got."""
    got = []

    async def handle(request):
        got.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(handle)
    http = httpx.AsyncClient(transport=transport, base_url="http://prometheus/below", auth=auth)
    return Prometheus(http), got


def vector(*values):
    result = [{"metric": {"pod": pod}, "value": [1.5, number]} for pod, number in values]
    return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": result}})


async def test_a_query_is_evaluated_at_its_moment():
    prometheus, got = answering(vector(("a", "3"), ("b", "NaN"), ("c", "+Inf")))
    assert await prometheus.query("up", 1_500_250) == [Value({"pod": "a"}, 3.0)]
    assert got[0].url == "http://prometheus/below/api/v1/query"
    assert httpx.QueryParams(got[0].content.decode()) == httpx.QueryParams(query="up", time="1500.250")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("refused"),
        httpx.Response(401, text="who are you?"),
        httpx.Response(503, text="starting"),
        httpx.Response(200, text="<html>"),
        httpx.Response(422, json={"status": "error", "error": "too many samples"}),
    ],
)
async def test_whatever_is_no_answer_means_that_nobody_knows(answer):
    prometheus, _ = answering(answer)
    with pytest.raises(Unreachable, match="Prometheus at http://prometheus/below"):
        await prometheus.query("up", 0)


async def test_a_renewed_token_is_used(tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n")
    prometheus, got = answering(vector(), TokenFile(token))
    await prometheus.query("up", 0)
    token.write_text("second\n")
    await prometheus.query("up", 0)
    assert [each.headers["authorization"] for each in got] == ["Bearer first", "Bearer second"]


async def test_a_token_that_is_not_there_yet_is_a_temporary_matter(tmp_path):
    prometheus, _ = answering(vector(), TokenFile(tmp_path / "none"))
    with pytest.raises(Unreachable):
        await prometheus.query("up", 0)


def test_a_token_is_said_in_one_way():
    with pytest.raises(ValueError, match="not both"):
        Settings(database_url="sqlite+aiosqlite://", prometheus_token="a", prometheus_token_file="b")
