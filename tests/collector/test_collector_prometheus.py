import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.collector.adapters.prometheus.api import Prometheus, Series, TokenFile, Value
from services.collector.adapters.prometheus.history import Told, onward
from services.collector.domain.counters import Reading, Shown, born
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
    assert httpx.QueryParams(got[0].content.decode()) == httpx.QueryParams(
        query="up", time="1500.250", partial_response="false"
    )


async def test_what_was_scraped_comes_with_its_times():
    result = [{"metric": {"pod": "a"}, "values": [[1700000000.117, "37"], [1700000015.117, "38.5"]]}]
    body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    prometheus, got = answering(httpx.Response(200, json=body))
    found = await prometheus.samples("busy", 90_500, 1_700_000_020_000)
    assert found == [Series({"pod": "a"}, [(1_700_000_000_117, 37.0), (1_700_000_015_117, 38.5)])]
    assert httpx.QueryParams(got[0].content.decode())["query"] == "busy[90500ms]"


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


HOUR_MS = 3_600_000
LAST = Reading(0, {"requests": 7}, shown=Shown("q", {"requests": 1007}))


def told_of(gained, before, shown, *, question="q"):
    sums = Shown(question, {"requests": shown})
    return Told({"requests": gained}, before, sums, reset=False, lookback_ms=HOUR_MS)


def follow(gained, before, shown, *, last=LAST, question="q"):
    """What the next reading has counted more, and whether all of that is of its own span."""
    reading = onward(last, 1, told_of(gained, before, shown, question=question))
    return reading.counters.get("requests", 0) - last.counters.get("requests", 0), not reading.inexact


def test_a_moment_of_which_nothing_new_is_known_adds_nothing():
    assert follow(5, {"requests": 1007}, 1012) == (5, True)


def test_what_came_late_of_a_moment_is_counted_after_it():
    assert follow(5, {"requests": 1010}, 1015) == (8, False)


def test_a_moment_of_which_less_is_known_than_was_takes_back_what_would_be_counted_twice():
    assert follow(5, {"requests": 1004}, 1009) == (2, False)
    assert follow(5, {"requests": 7}, 12) == (0, False)


def test_of_a_moment_that_is_lost_the_growth_of_the_sums_is_counted():
    assert follow(1012, None, 1012) == (5, False)
    assert follow(12, None, 12) == (0, False)


def test_sums_of_another_question_are_not_compared():
    assert follow(5, {"requests": 9}, 14, question="r") == (5, True)
    assert follow(14, None, 14, question="r") == (0, False)


def test_where_nothing_was_shown_of_a_moment_what_was_gained_since_is_counted():
    assert follow(10, {"requests": 150}, 160, last=Reading(0, {"requests": 150})) == (10, True)


def test_before_a_moment_that_is_lost_a_name_may_have_been_another_deployments():
    assert follow(5, None, 5, last=born(0)) == (0, False)
    assert follow(5, {}, 5, last=born(0)) == (5, True)


@given(st.data(), st.lists(st.integers(0, 20), min_size=1, max_size=20))
def test_never_is_more_charged_than_happened_whichever_of_two_servers_answers(data, steps):
    """Each knows some of what happened, some of it late, and of some moments nothing."""
    views, last, happened = [0, 0], born(0), 0
    for at, step in enumerate(steps, start=1):
        begins = [data.draw(st.integers(view, happened)) for view in views]
        happened += step
        views = [data.draw(st.integers(begin, happened)) for begin in begins]
        begin, end = data.draw(st.sampled_from([*zip(begins, views, strict=True)]))
        before = data.draw(st.sampled_from([None, {"requests": begin}]))
        last = onward(last, at, told_of(end - begin, before, end))
        assert last.counters.get("requests", 0) <= happened


def test_what_a_server_lacks_is_made_up_for_before_more_is_counted():
    less = onward(LAST, 1, told_of(3, {"requests": 1002}, 1005))
    assert (less.counters["requests"], less.inexact) == (7, True)
    more = onward(less, 2, told_of(4, {"requests": 1005}, 1009))
    assert (more.counters["requests"], more.inexact) == (9, True)
    assert more.shown == Shown("q", {"requests": 1009})


def test_what_all_servers_lack_began_anew_once_the_sums_have_nothing_of_what_ended():
    anew = onward(LAST, 0, told_of(12, None, 12))
    for at_ms in (HOUR_MS, HOUR_MS + 1):
        anew = onward(anew, at_ms, told_of(0, {"requests": 12}, 12))
        assert anew.counters == LAST.counters
    assert onward(anew, HOUR_MS + 2, told_of(5, {"requests": 12}, 17)).counters == {"requests": 12}


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
