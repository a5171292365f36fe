"""Consumers are tested without a broker."""

import pytest

from so1s.events import Event
from so1s.events.envelope import Cause, Received
from so1s.service import Consumer
from so1s.store import Store, Transaction
from so1s.testing import refusal, run


class Asked(Event, key=("account",), prefix="test-testing"):
    """A question."""

    number: int = 0


class Answered(Event, key=("account",), prefix="test-testing"):
    """An answer."""

    text: str = ""


class Phrase(str):
    """Something that a composition root provides."""

    __slots__ = ()


@pytest.fixture
def consumer():
    return Consumer("answerer")


async def test_a_handler_gives_the_events_that_it_would_publish(consumer):
    @consumer.on(Asked)
    async def answer(asked):
        return None if asked.number == 0 else [Answered(account="risk", text="a"), Answered(account="risk")]

    assert await run(consumer, Asked(account="risk")) == []
    answers = await run(consumer, Asked(account="risk", number=1))
    assert answers == [Answered(account="risk", text="a"), Answered(account="risk")]


async def test_a_handler_is_given_what_it_asks_for_by_type(consumer):
    seen = []

    @consumer.on(Asked)
    async def answer(asked, phrase: Phrase, tx: Transaction, cause: Cause, received: Received[Asked]) -> None:
        seen.extend([phrase, cause.event_id == received.id, received.event == asked])
        tx.emit(Answered(account="risk"))

    assert await run(consumer, Asked(account="risk"), provide=[Phrase("hi")]) == [Answered(account="risk")]
    assert seen == ["hi", True, True]


async def test_a_batch_handler_is_given_a_batch_of_one(consumer):
    @consumer.on(Asked, batch=True)
    async def answer(batch: list[Received], tx: Transaction) -> None:
        for received in batch:
            tx.emit(Answered(account="risk", text=str(received.event.number)), id="answer-1")

    assert await run(consumer, Asked(account="risk", number=4)) == [Answered(account="risk", text="4")]


async def test_a_store_of_its_own_keeps_what_the_handler_wrote(consumer, tmp_path):
    store = Store(f"sqlite+aiosqlite:///{tmp_path}/s.db", producer="answerer")
    await store.migrate()

    @consumer.on(Asked)
    async def answer(_asked):
        return Answered(account="risk")

    await run(consumer, Asked(account="risk"), store=store)
    assert (await store.outbox.depth()).unsent == 1
    await store.close()


async def test_an_event_without_a_handler_is_a_mistake_of_the_test(consumer):
    with pytest.raises(LookupError, match="answerer has no handler for Asked"):
        await run(consumer, Asked(account="risk"))


def test_fields_that_break_a_rule_are_answered_as_their_author_would_be(consumer):
    @consumer.on(Asked, rejected=lambda error, fields: Answered(account=fields["account"], text=str(error)))
    async def answer(asked): ...

    answered = refusal(consumer, Asked, {"account": "risk", "number": "one"})
    assert isinstance(answered, Answered)
    assert answered.text.startswith("number: 'one' is not allowed")
    assert refusal(consumer, Asked, {"number": 1}) is None
    with pytest.raises(ValueError, match="Asked allows these fields"):
        refusal(consumer, Asked, {"account": "risk"})
