"""The composition root: settings → store, messenger, consumer, loops → service."""

from __future__ import annotations

from functools import partial

from services.alerter import api
from services.alerter.adapters.dead_letters_kafka import KafkaDeadLetters
from services.alerter.adapters.messenger_slack import SlackMessenger
from services.alerter.domain.rules import Rulebook
from services.alerter.handlers import consumer
from services.alerter.reconciler import Teller
from services.alerter.retention import prune
from services.alerter.settings import Settings
from services.alerter.watchers import count_dead_letters, forget_silent
from so1s.loop import Loop
from so1s.service import Service
from so1s.store import Store

_WATCH_INTERVAL_SECONDS = 15.0
_PRUNE_INTERVAL_SECONDS = 3600.0


def build(settings: Settings) -> Service:
    """Put the alerter together.

    Raises:
        InvalidInput: the rules are wrong; it names every problem.
        OSError: the rules cannot be read.
    """
    rulebook = Rulebook.from_yaml(settings.rules_path.read_text())
    consumer.provide(rulebook)
    url = settings.database_url.get_secret_value()
    store = Store(url, producer="alerter", schema=settings.database_schema)
    messenger = SlackMessenger(
        url=settings.slack_url,
        token=settings.slack_token,
        channel=settings.slack_channel,
        channels=settings.slack_channels,
        timeout_seconds=settings.slack_timeout_seconds,
    )
    letters = KafkaDeadLetters(settings)
    tell = Teller(store, messenger).tell
    forget = partial(forget_silent, store, rulebook)
    count = partial(count_dead_letters, store, rulebook, letters, settings.operator_account)
    loops = [
        Loop("tell", tell, every_seconds=settings.tell_interval_seconds),
        Loop("forget", forget, every_seconds=_WATCH_INTERVAL_SECONDS),
        Loop(
            "forget-history",
            partial(prune, store, settings.retention_days),
            every_seconds=_PRUNE_INTERVAL_SECONDS,
        ),
        Loop("dead-letters", count, every_seconds=_WATCH_INTERVAL_SECONDS),
    ]
    return Service(
        "alerter",
        settings,
        consumer=consumer,
        store=store,
        migrations="services.alerter.migrations",
        loops=loops,
        routes=api.routes(store),
    )
