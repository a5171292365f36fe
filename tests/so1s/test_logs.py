"""Logs are JSON or colour, carry the event in hand, and hide secrets."""

import json
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes, SecretStr

from so1s.logs import mask_secrets

SECRET = "hunter2"


def masked(**line):
    return mask_secrets(logging.getLogger(), "info", line)


@pytest.mark.parametrize(
    "line",
    [
        {"value": SecretStr(SECRET)},
        {"value": SecretBytes(SECRET.encode())},
        {"password": SECRET},
        {"kafka_password": SECRET.encode()},
        {"Authorization": f"Bearer {SECRET}"},
        {"api_key": SECRET},
        {"slack_token": SECRET},
        {"event": f"connect postgresql://so1s:{SECRET}@db/so1s"},
        {"url": f"https://:{SECRET}@registry"},
        {"exception": f"Traceback …\nOSError: redis://x:{SECRET}@cache:6379"},
        {"settings": {"database": {"password": SECRET}}},
        {"servers": [f"amqp://u:{SECRET}@a", (f"amqp://u:{SECRET}@b",)]},
        {"tokens": [SECRET]},
    ],
)
def test_no_secret_is_shown_however_it_comes(line):
    assert SECRET not in repr(masked(**line))


@given(st.dictionaries(st.sampled_from(["event", "account", "seconds"]), st.text() | st.integers()))
def test_what_is_no_secret_is_shown_as_it_is(line):
    if not any("://" in str(value) for value in line.values()):
        assert masked(**line) == line


PROGRAM = """
import logging, sys, structlog
from so1s import logs
logs.configure("builder", form=sys.argv[1], level="info")
log = structlog.get_logger()
with structlog.contextvars.bound_contextvars(event_id="e-1", correlation_id="c-1", account="risk"):
    log.info("image built", digest="sha256:1")
    log.debug("unseen")
    logging.getLogger("some.library").warning("from %s", "postgresql://so1s:hunter2@db")
    logging.getLogger("aiokafka").info("noise")
    password = "hunter2"
    try:
        raise OSError("cannot reach postgresql://so1s:hunter2@db")
    except OSError:
        log.exception("failed")
"""


def printed(form):
    done = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_pods_log_one_json_object_a_line_with_the_event_in_hand():
    built, library, failed = [json.loads(line) for line in printed("json").splitlines()]
    assert (built["event"], built["digest"], built["level"]) == ("image built", "sha256:1", "info")
    assert built["timestamp"].endswith("Z")
    for line in (built, library, failed):
        assert (line["service"], line["event_id"], line["account"]) == ("builder", "e-1", "risk")
    assert library["event"] == "from postgresql://so1s:**********@db"
    assert "OSError: cannot reach postgresql://so1s:**********@db" in failed["exception"]


def test_a_terminal_shows_the_same_lines_in_colour_and_no_secret_either():
    text = printed("console")
    assert "\x1b[" in text
    assert "image built" in text
    assert "OSError" in text
    assert SECRET not in text
    assert "unseen" not in text
    assert "noise" not in text
