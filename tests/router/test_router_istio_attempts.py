"""How the router's calls of an API server fail, each by itself."""

from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from services.router.adapters.istio.attempts import Attempts
from services.router.adapters.istio.objects import Key
from services.router.ports import Failure
from so1s.errors import Unreachable
from so1s.kubernetes import Refused
from so1s.kubernetes.errors import Conflict

KEY = Key("VirtualService", "so1s", "fraud--risk")
HOST = "fraud--risk.so1s.localhost"
LONGEST_SECONDS = 30.0


class Time:
    """Seconds that the test moves on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def attempts(time):
    attempts = Attempts(time)
    attempts.begin({KEY: {HOST}})
    return attempts


class Call:
    """A call that fails until it is mended, and counts how often it is made."""

    def __init__(self, error: Exception | None):
        self.error = error
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        if self.error:
            raise self.error
        return "done"


async def test_what_a_call_answers_is_answered_and_what_failed_is_told_of_its_hosts(attempts):
    assert await attempts.make(KEY, {}, Call(None)) == "done"
    assert attempts.failures() == {}
    assert await attempts.make(KEY, {}, Call(Refused("weight: -5"))) is None
    assert attempts.failures() == {HOST: Failure("weight: -5", refused=True)}
    assert len(attempts) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Unreachable("the API is away"), "the API is away"), (ValueError("7"), "ValueError: 7")],
)
async def test_what_may_pass_by_itself_is_no_refusal(attempts, error, reason):
    await attempts.make(KEY, {}, Call(error))
    assert attempts.failures() == {HOST: Failure(reason, refused=False)}


async def test_a_write_on_a_state_that_is_not_there_any_more_is_no_failure(attempts):
    call = Call(Conflict("somebody was faster"))
    assert await attempts.make(KEY, {}, call) is None
    assert attempts.failures() == {}
    await attempts.make(KEY, {}, call)
    assert call.made == 2


async def test_what_fails_again_is_made_again_after_a_longer_while_each_time(attempts, time):
    call = Call(Refused("not now"))
    times = []
    while time.now < 600:
        before = call.made
        await attempts.make(KEY, {}, call)
        times += [time.now] * (call.made - before)
        time.now += 0.05
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] < 0.2
    assert LONGEST_SECONDS / 2 <= pauses[-1] <= LONGEST_SECONDS + 0.1


async def test_another_wish_is_not_held_back_by_what_failed_before(attempts):
    await attempts.make(KEY, {"weight": -5}, Call(Refused("weight: -5")))
    mended = Call(None)
    await attempts.make(KEY, {"weight": 5}, mended)
    assert mended.made == 1
    assert attempts.failures() == {}


async def test_a_failure_is_logged_once_with_its_endpoint_and_again_where_its_reason_is_another(
    attempts, time
):
    with capture_logs() as logs:
        for error in (Refused("by policy"), Refused("by policy"), Unreachable("the API is away")):
            await attempts.make(KEY, {}, Call(error))
            time.now += LONGEST_SECONDS
    assert [(log["endpoints"], log["object"], log["reason"]) for log in logs] == [
        (["risk/fraud"], "VirtualService so1s/fraud--risk", "by policy"),
        (["risk/fraud"], "VirtualService so1s/fraud--risk", "the API is away"),
    ]


async def test_what_nobody_wants_any_more_does_not_fail_any_more(attempts):
    await attempts.make(KEY, {}, Call(Refused("by policy")))
    attempts.begin({})
    assert attempts.failures() == {}
    assert len(attempts) == 0


async def test_a_refusal_is_told_rather_than_what_may_pass(attempts):
    rule = Key("DestinationRule", "so1s-risk", "fraud")
    attempts.begin({rule: {HOST}, KEY: {HOST}})
    await attempts.make(rule, {}, Call(Refused("by policy")))
    await attempts.make(KEY, {}, Call(Unreachable("the API is away")))
    assert attempts.failures() == {HOST: Failure("by policy", refused=True)}
