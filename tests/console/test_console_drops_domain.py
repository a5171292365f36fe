"""Drops: which objects of a listing are a complete upload."""

import json
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.console.domain.drops import Base, Notice, Object, drops, notices
from so1s.errors import InvalidInput
from so1s.events.model import Format
from so1s.suffixes import ARCHIVES, FORMATS

BASE = Base("models", "in/")


def put(key, *, etag="e", at=0.0):
    return Object(f"in/{key}", etag, 1, at)


def uris(*objects):
    return [each.uri.removeprefix("s3://models/in/") for each in drops(BASE, objects)]


def test_one_object_is_complete_by_itself():
    (drop,) = drops(BASE, [put("risk/fraud/1.2.tar.gz")])
    uploaded = drop.uploaded
    assert (uploaded.account, uploaded.model, uploaded.version) == ("risk", "fraud", "1.2")
    assert uploaded.artifact.uri == "s3://models/in/risk/fraud/1.2.tar.gz"


@pytest.mark.parametrize("suffix", [*FORMATS, *ARCHIVES])
def test_the_version_of_one_object_is_its_name_without_the_suffix_of_any_format(suffix):
    (drop,) = drops(BASE, [put(f"risk/fraud/1.2{suffix}")])
    assert drop.uploaded, drop.problem
    assert drop.uploaded.version == "1.2"


def test_each_format_that_is_one_file_has_a_suffix():
    directories = {"tensorflow", "transformers", "python"}
    assert set(FORMATS.values()) == set(get_args(Format)) - directories


def test_a_directory_is_complete_with_its_marker():
    model = put("risk/fraud/3/deep/model.onnx", at=1)
    assert uris(model) == []
    assert uris(model, put("risk/fraud/3/_SUCCESS", at=1)) == ["risk/fraud/3/"]
    assert uris(model, put("risk/fraud/3/deep/_SUCCESS", at=2)) == []


def test_a_marker_alone_is_no_upload():
    assert uris(put("risk/fraud/3/_SUCCESS")) == []


def test_a_directory_that_is_written_again_waits_for_its_marker():
    marker = put("risk/fraud/3/_SUCCESS", at=2)
    assert uris(put("risk/fraud/3/model.onnx", at=3), marker) == []


def test_other_bytes_are_another_event():
    marker = put("risk/fraud/3/_SUCCESS", at=2)
    first, second = (drops(BASE, [put("risk/fraud/3/m", etag=etag), marker])[0] for etag in "ab")
    assert first.id != second.id


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("Risk/fraud/3.onnx", "account"),
        ("risk/Fraud/3.onnx", "model"),
        ("risk/fraud/run:7.onnx", "run-7"),
        ("risk/fraud/notes.md", "file"),
    ],
)
def test_a_bad_name_is_refused_with_what_is_allowed(key, named):
    (drop,) = drops(BASE, [put(key)])
    assert drop.uploaded is None
    assert named in drop.problem
    assert "allowed" in drop.problem


def test_what_lies_elsewhere_is_none_of_ours():
    assert (
        drops(BASE, [Object("other/risk/fraud/3.onnx", "e", 1, 0), put("risk/fraud/"), put("a.onnx")]) == []
    )


parts = st.sampled_from(["risk", "fraud", "3", "_SUCCESS", "3.onnx", "X", ""])
objects = st.builds(
    put,
    st.lists(parts, min_size=1, max_size=5).map("/".join),
    etag=st.sampled_from("ab"),
    at=st.sampled_from([0.0, 1.0]),
)
listings = st.lists(objects, unique_by=lambda each: each.key)


@given(st.data(), listings)
def test_a_listing_gives_the_same_in_any_order(data, listing):
    shuffled = data.draw(st.permutations(listing))
    assert drops(BASE, shuffled) == drops(BASE, listing)


@example([put("risk/fraud//m"), put("risk/fraud//_SUCCESS")])  # a version without a name
@given(listings)
def test_each_drop_is_one_event_or_one_refusal_below_its_own_account(listing):
    found = drops(BASE, listing)
    assert len({each.id for each in found}) == len(found)
    for each in found:
        assert bool(each.problem) == (each.uploaded is None)
        assert each.uri.startswith(f"s3://models/in/{each.account}/")
        if each.uploaded:
            assert each.uploaded.account == each.account


@given(listings, objects)
def test_what_is_put_later_takes_no_single_object_away(listing, later):
    def files(found):
        return {each.id for each in found if not each.uri.endswith("/")}

    others = [each for each in listing if each.key != later.key]
    assert files(drops(BASE, others)) <= files(drops(BASE, [*others, later]))


def notified(bucket, key):
    return json.dumps({"Records": [{"s3": {"bucket": {"name": bucket}, "object": {"key": key}}}]}).encode()


def test_a_notification_tells_only_of_what_lies_below_the_base():
    assert notices(BASE, notified("models", "in/risk/fraud/3.onnx")) == [
        Notice("in/risk/fraud/3.onnx", "", "")
    ]
    assert [each.key for each in notices(Base("models", "in +/"), notified("models", "in+%2B/risk"))] == [
        "in +/risk"
    ]
    assert notices(BASE, notified("models", "out/3")) == []
    assert notices(BASE, notified("other", "in/3")) == []
    assert notices(BASE, b'{"Service": "S3", "Event": "s3:TestEvent"}') == []


@pytest.mark.parametrize("who", [None, "x", {"principalId": 7}, {"principalId": "a\n"}], ids=repr)
def test_what_a_notification_says_of_a_person_in_another_way_is_passed_over(who):
    place = {"s3": {"bucket": {"name": "models"}, "object": {"key": "in/3"}}}
    said = {"eventName": ["x"], "userIdentity": who}
    assert notices(BASE, json.dumps({"Records": [place | said]}).encode()) == [Notice("in/3", "", "")]


@given(st.binary() | st.sampled_from([b"[]", b"{}", b'{"Records": 1}', b'{"Records": [{"s3": null}]}']))
def test_a_malformed_notification_is_told_as_such(message):
    with pytest.raises(InvalidInput, match="notification"):
        notices(BASE, message)
