import pytest
from pydantic import SecretStr

from services.alerter.adapters.messenger_slack import SlackMessenger
from services.alerter.ports import Refused
from services.alerter.reconciler import Teller
from so1s.errors import TemporaryError
from so1s_local.slack_channel import CHANNEL_ID

TOKEN = "xoxb-test"


@pytest.fixture
def variant(hear, sample):
    class Variant:
        async def fail(self):
            await hear(*(sample(window, errors=51) for window in (0, 1)))

        async def recover(self):
            await hear(*(sample(window) for window in (2, 3)))

    return Variant()


async def test_an_incident_is_one_message_that_is_edited_to_resolved_with_its_history_in_the_thread(
    variant, teller, slack
):
    await variant.fail()
    await teller.tell()
    (message,) = await slack.messages()
    assert "🔴 fraud-next fails requests" in message["text"]
    assert message["replies"] == []

    await variant.recover()
    await teller.tell()
    (resolved,) = await slack.messages()
    assert resolved["ts"] == message["ts"]
    assert "✅ fraud-next: resolved after 10 s" in resolved["text"]
    assert [reply["text"] for reply in resolved["replies"]] == [
        "Resolved after 10 s: 100 %: 0 of 100 requests failed"
    ]


async def test_nothing_is_sent_again_where_all_is_told(variant, teller, slack):
    await variant.fail()
    await teller.tell()
    await slack.faults(down=True)
    await teller.tell()  # would raise if it called


class Dying:
    """A messenger whose process dies right after a call took effect."""

    def __init__(self, messenger, method):
        self._messenger = messenger
        self._method = method

    def __getattr__(self, name):
        call = getattr(self._messenger, name)

        async def die(*arguments):
            await call(*arguments)
            raise KeyboardInterrupt

        return die if name == self._method else call


@pytest.mark.parametrize("method", ["post", "edit", "reply"])
async def test_a_crash_between_a_call_and_its_commit_sends_nothing_twice(
    method, variant, state, messenger, slack
):
    await variant.fail()
    if method != "post":
        await Teller(state, messenger).tell()
        await variant.recover()
    with pytest.raises(KeyboardInterrupt):
        await Teller(state, Dying(messenger, method)).tell()
    await variant.recover()
    await Teller(state, messenger).tell()

    (message,) = await slack.messages()
    assert "resolved" in message["text"]
    assert len(message["replies"]) == 1


async def test_a_lost_answer_sends_nothing_twice(variant, teller, slack):
    await variant.fail()
    await variant.recover()
    for _ in range(3):  # the post, its search, the reply
        await slack.faults(answers_lost=1)
        with pytest.raises(TemporaryError):
            await teller.tell()
    await teller.tell()

    (message,) = await slack.messages()
    assert len(message["replies"]) == 1


async def test_what_happens_while_slack_is_down_is_told_when_it_is_back(variant, teller, slack):
    await slack.faults(down=True)
    await variant.fail()
    with pytest.raises(TemporaryError):
        await teller.tell()
    await variant.recover()
    with pytest.raises(TemporaryError):
        await teller.tell()
    await slack.faults()
    await teller.tell()

    (message,) = await slack.messages()
    assert "resolved after 10 s" in message["text"]
    assert len(message["replies"]) == 1


async def test_an_incident_that_slack_refuses_holds_up_no_other_one(hear, sample, variant, state, slack):
    channels = {"ads": "C0WRONG"}
    teller = Teller(state, SlackMessenger(f"{slack.url}/api/", SecretStr(TOKEN), CHANNEL_ID, channels, 5))
    await hear(*(sample(window, account="ads", errors=51) for window in (-2, -1)))
    await variant.fail()
    with pytest.raises(Refused, match="channel_not_found"):
        await teller.tell()

    (message,) = await slack.messages()
    assert "account risk" in message["text"]


async def test_a_rate_limit_is_waited_out_as_slack_asks(variant, state, messenger, slack):
    pauses = []

    async def note(seconds):
        pauses.append(seconds)

    teller = Teller(state, messenger, sleep=note)
    await variant.fail()
    await slack.faults(rate_limited=1, retry_after_seconds=30)
    await teller.tell()
    assert pauses == [30]
    assert await slack.messages() == []

    await teller.tell()
    assert len(await slack.messages()) == 1


async def test_a_message_that_a_person_deleted_is_left_alone(variant, teller, slack, tmp_path):
    await variant.fail()
    await teller.tell()
    await slack.stop()
    slack.path.write_text("[]")
    await slack.start()
    teller._messenger._client.base_url = f"{slack.url}/api/"

    await variant.recover()
    await teller.tell()
    await teller.tell()
    assert await slack.messages() == []
