"""Whatever a stranger sends, the answer is one of the 4xx and names a problem; nothing is recorded."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.console.domain import binding
from services.console.domain.admission import admit, record
from services.console.domain.refusal import Refusal
from services.console.domain.scopes import Scope
from services.console.domain.token import Credential, Token
from so1s.errors import InvalidInput
from tests.console.conftest import uploaded

unhurried = settings(deadline=None)  # a busy machine is no defect

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TOKEN = Token("a" * 12, "", "risk", frozenset(Scope), "", 0.0, "operator:me", 1e12)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
media_types = st.sampled_from([binding.STRUCTURED, binding.BATCH, binding.BINARY])
header_names = st.sampled_from(["ce-id", "ce-source", "ce-type", "ce-specversion", "ce-time", "ce-ä", "ce-"])


def taken(headers, body):
    """How many events of a request are taken; refusals are foreseen, anything else is a defect."""
    try:
        return len([record(each, NOW) for each in admit(TOKEN, binding.read(headers, body), NOW)])
    except (InvalidInput, Refusal) as error:
        refused = error
    assert refused.problems
    assert all(each.field and each.allowed for each in refused.problems)
    return 0


@unhurried
@given(media_types, st.binary(max_size=200), st.dictionaries(header_names, st.text(max_size=20)))
def test_any_bytes_are_refused(media_type, body, headers):
    assert taken(headers | {"content-type": media_type}, body) == 0


@unhurried
@given(st.sampled_from(["id", "source", "type", "specversion", "data", "correlationid", "time"]), json_values)
def test_any_value_of_an_attribute_is_taken_or_refused(name, value):
    body = json.dumps(uploaded() | {name: value}).encode()
    taken({"content-type": binding.STRUCTURED}, body)
    taken({"content-type": binding.BATCH}, b"[" + body + b"]")


@unhurried
@given(st.sampled_from(["account", "model", "version", "artifact", "labels", "deploy", "x"]), json_values)
def test_any_value_of_a_field_is_taken_or_refused(name, value):
    body = json.dumps(uploaded(**{name: value})).encode()
    assert taken({"content-type": binding.STRUCTURED}, body) in {0, 1}
    if name == "account":
        assert taken({"content-type": binding.STRUCTURED}, body) == (value == "risk")


@unhurried
@given(st.text(max_size=300))
def test_no_source_lets_a_tenant_speak_for_others(source):
    body = json.dumps(uploaded() | {"source": source}).encode()
    try:
        (admitted,) = admit(TOKEN, binding.read({"content-type": binding.STRUCTURED}, body), NOW)
    except InvalidInput:
        return
    assert admitted.source == f"account/risk/{source}"
    assert len(record(admitted, NOW).event_id) == 64


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[]",
        b"[1]",
        b"{}",
        b"null",
        b"[" + b",".join([b"{}"] * 101) + b"]",
        b'{"specversion":"1.0","id":"x","source":"y","type":"so1s.ModelUploaded.v1","data_base64":"!"}',
        b'{"specversion":"1.0","id":"\\ud800","source":"y","type":"so1s.ModelUploaded.v1","data":{}}',
        json.dumps(uploaded(evaluation={"auc": float("nan")})).encode(),
        json.dumps(uploaded() | {"id": "a\nb"}).encode(),
        json.dumps(uploaded() | {"id": "a" * 256}).encode(),
    ],
)
@pytest.mark.parametrize("media_type", [binding.STRUCTURED, binding.BATCH])
def test_a_hostile_body_is_refused(media_type, body):
    assert taken({"content-type": media_type}, body) == 0


@unhurried
@given(st.text(max_size=120))
def test_only_tokens_are_read_as_tokens(text):
    said = Credential.parse(text)
    assert said is None or said.text == text
