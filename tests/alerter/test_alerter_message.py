from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.alerter.domain.incident import (
    Finding,
    duration,
    open_incident,
    resolve_incident,
    update_incident,
)
from services.alerter.domain.message import render
from services.alerter.domain.readings import percent
from services.alerter.domain.subject import Subject

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def finding(**fields):
    defaults = {
        "rule": "availability",
        "severity": "critical",
        "subject": Subject.of("risk", endpoint="fraud", variant="fraud-next"),
        "headline": "fraud-next is unavailable",
        "observed": "0 %: 51 of 51 requests failed",
        "allowed": "at least 95 %, judged over 10 s",
        "hint": "so1s logs fraud-next --account risk",
        "began_at": NOON,
        "at": NOON + timedelta(seconds=10),
    }
    return Finding(**defaults | fields)


def texts(message):
    blocks = message.blocks + message.attachments[0]["blocks"]
    parts = [
        part
        for block in blocks
        for part in (block.get("text"), *block.get("fields", []), *block.get("elements", []))
    ]
    return [part["text"] for part in parts if part]


def test_an_open_incident_says_what_is_wrong_since_when_and_what_to_do():
    incident, entry = open_incident(finding())
    message = render(incident)
    assert texts(message) == [
        "🔴 fraud-next is unavailable",
        "account *risk*  ·  endpoint *fraud*  ·  variant *fraud-next*",
        "*Observed*\n0 %: 51 of 51 requests failed",
        "*Allowed*\nat least 95 %, judged over 10 s",
        "*Since*\n<!date^1795521600^{date_short_pretty}, {time_secs}|2026-11-24 12:00:00 UTC>",
        "Look closer:  `so1s logs fraud-next --account risk`",
        "critical  ·  rule availability",
    ]
    assert message.attachments[0]["color"] == "#e01e5a"
    assert entry is None


def test_a_resolved_incident_says_what_was_what_is_and_how_long_it_lasted():
    incident, _ = open_incident(finding())
    resolved, entry = resolve_incident(incident, NOON + timedelta(seconds=65), "resolved", "100 %: all well")
    message = render(resolved)
    assert message.blocks[0]["text"]["text"] == "✅ fraud-next: resolved after 1 min 5 s"
    assert "~fraud-next is unavailable~" in texts(message)[1]
    assert "*Now*\n100 %: all well" in texts(message)
    assert message.attachments[0]["color"] == "#2eb67d"
    assert entry.text == "Resolved after 1 min 5 s: 100 %: all well"


def test_an_incident_that_nothing_speaks_of_is_closed_and_not_called_well():
    incident, _ = open_incident(finding())
    closed, _ = resolve_incident(incident, NOON + timedelta(minutes=15), "closed", "nothing was heard of it")
    assert render(closed).blocks[0]["text"]["text"] == "⚪ fraud-next: closed after 15 min"


def test_the_log_of_a_failure_opens_the_thread():
    _, entry = open_incident(finding(log_tail=("+ pip install", "error: <none> & ```")))
    assert entry.text == "The end of the log:\n```\n+ pip install\nerror: &lt;none&gt; &amp; '''\n```"


def test_an_update_keeps_when_the_problem_began():
    incident, _ = open_incident(finding())
    later = finding(began_at=NOON + timedelta(hours=1), at=NOON + timedelta(hours=1), observed="worse")
    updated, entry = update_incident(incident, later)
    assert updated.id == incident.id
    assert updated.finding.began_at == NOON
    assert (entry.revision, entry.text) == (2, "Now worse")


@example("<" * 5000, [])
@given(st.text(max_size=5000), st.lists(st.text(max_size=3000), max_size=4))
def test_foreign_text_of_any_length_stays_within_slacks_limits_and_escaped(text, log):
    incident, entry = open_incident(finding(headline=text, observed=text, allowed=text, log_tail=tuple(log)))
    message = render(incident)
    assert len(message.blocks[0]["text"]["text"]) <= 150
    fields = next(block["fields"] for block in message.attachments[0]["blocks"] if "fields" in block)
    assert all(len(field["text"]) <= 2000 for field in fields)
    assert "<" not in "".join(field["text"] for field in fields[:-1])
    assert entry is None or len(entry.text) <= 40_000


@pytest.mark.parametrize("text", ["<" * 500_000, "word " * 100_000])
def test_a_long_message_is_cut_in_the_thread_too_and_says_so(text):
    incident, _ = open_incident(finding())
    _, worse = update_incident(incident, finding(observed=text))
    _, over = resolve_incident(incident, NOON, "resolved", text)
    assert all(len(entry.text) < 2000 and entry.text.endswith("…") for entry in (worse, over))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (42.4, "42 s"), (65, "1 min 5 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (-1, "0 s")],
)
def test_a_span_is_said_in_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.99996, "99.99 %"), (1, "100 %"), (0.95, "95 %"), (0.29, "29 %"), (0, "0 %")]
)
def test_a_share_is_rounded_down(share, text):
    assert percent(share) == text
