"""`so1s build`: logs that are followed to the build's end, requests to try again and to stop."""

import asyncio
import json

import pytest

from so1s.events import BuildCancelled, BuildFailed, BuildRequested, Image, ImageBuilt, Signature

LOG = "/v1/builds/risk/fraud/3/log/lines"
FAILED = {"state": "failed", "reason": "format", "message": "no file is a model"}


@pytest.fixture
def growing(http, monkeypatch):
    """A log that is asked for again and again: what it answers each time, the last one for ever."""
    monkeypatch.setattr("so1s.cli.build_log._LOOK_SECONDS", 0)

    def grow(*news: dict) -> list[int]:
        """Takes all `lines` so far and fields of the build for each question; answers the `after` of each."""
        left = list(news)

        def answer(_headers, _body):
            after = int(http.asked[-1][0].partition("after=")[2])
            asked.append(after)
            said = left.pop(0) if len(left) > 1 else left[0]
            if "status" in said:
                return said["status"], {}, b'{"error": "away"}'
            known = {"number": 1, "state": "running", "waits_for": None, "reason": None, "message": None}
            build = known | said.get("build", {})
            ends = build["state"] not in {"queued", "running"}
            build["finished_at"] = "2029-12-31T23:59:59Z" if ends else None
            return 200, {}, json.dumps({"build": build, "lines": said["lines"][after:]}).encode()

        asked: list[int] = []
        http.answers[LOG] = answer
        return asked

    return grow


def test_a_log_is_followed_until_its_build_is_done(so1s, laptop, growing):
    asked = growing(
        {"lines": ["fetch: started"]},
        {"lines": ["fetch: started"]},
        {"lines": ["fetch: started", "[b] 50 %"], "build": {"state": "built"}},
    )
    result = so1s("build", "logs", "-f", "fraud@3")
    assert (result.code, result.lines) == (0, ["fetch: started", "[b] 50 %"])
    assert asked == [0, 1, 1]


def test_who_follows_a_build_that_fails_is_told_why_and_fails_too(so1s, laptop, growing):
    growing({"lines": ["fetch: started", "failed: no file is a model"], "build": FAILED})
    result = so1s("build", "logs", "fraud@3", "--follow")
    assert result.code == 1
    assert result.lines[-1] == "failed: no file is a model"
    assert "fraud@3 was not built: format: no file is a model" in result.err


def test_a_followed_log_is_a_stream_of_json_that_ends_with_the_build(so1s, laptop, growing):
    growing({"lines": ["fetch: started"]}, {"lines": ["fetch: started"], "build": FAILED})
    result = so1s("build", "logs", "-f", "fraud@3", "-o", "json")
    assert result.code == 1
    line, build = map(json.loads, result.lines)
    assert line == {"line": "fetch: started"}
    assert build["reason"] == "format"


def test_who_follows_a_build_that_waits_is_told_for_what_once(so1s, laptop, growing):
    waits = {"lines": [], "build": {"state": "queued", "waits_for": "a free worker"}}
    growing(waits, waits, {"lines": ["a"], "build": {"state": "built"}})
    result = so1s("build", "logs", "-f", "fraud@3")
    assert result.err.count("fraud@3 waits for a free worker") == 1


def test_a_build_that_another_takes_the_place_of_is_followed_on(so1s, laptop, growing):
    growing(
        {"lines": ["old 1", "old 2"]},
        {"lines": ["new 1"], "build": {"number": 2}},
        {"lines": ["new 1", "new 2"], "build": {"number": 2, "state": "built"}},
    )
    assert so1s("build", "logs", "-f", "fraud@3").lines == ["old 1", "old 2", "new 1", "new 2"]


def test_the_log_of_an_unknown_version_is_not_followed(so1s, laptop, http):
    assert so1s("build", "logs", "-f", "fraud@3").code == 2


def test_a_console_that_knows_no_such_build_ends_as_a_builder_does(so1s, http, monkeypatch):
    for name, value in {"URL": http.url, "TOKEN": "t", "ACCOUNT": "risk"}.items():
        monkeypatch.setenv(f"SO1S_{name}", value)
    said = b'{"detail": "no such build", "problems": []}'
    http.answers["/v1/builds/risk/fraud/3/log"] = lambda *_: (404, {}, said)
    result = so1s("build", "logs", "fraud@3")
    assert (result.code, result.err) == (2, f"✗ {http.url}: no such build\n")


def test_builds_are_listed_by_model_and_state(so1s, laptop, http):
    http.answers["/v1/builds"] = {"builds": []}
    assert so1s("build", "list", "--model", "fraud", "--state", "failed").code == 0
    assert http.asked[-1][0] == "/v1/builds?account=risk&model=fraud&state=failed"
    result = so1s("build", "list", "--state", "broken")
    assert result.code == 2
    assert "state: 'broken' is not allowed; allowed: queued, running" in result.err


ROW = {
    "version": "2026-11-24",
    "reason": None,
    "message": None,
    "priority": "normal",
    "waits_for": None,
    "warnings": [],
    "queued_at": "2026-11-24T12:00:00.000Z",
    "started_at": "2026-11-24T12:00:01.000Z",
    "finished_at": "2026-11-24T12:01:13.400Z",
}


def test_80_columns_hold_each_build_in_a_line_and_what_is_said_of_it_below(so1s, laptop, http, monkeypatch):
    monkeypatch.setattr("so1s.cli.terminal._PIPED_WIDTH", 80)
    why = "no version of numpy fits: " + "scikit-learn 1.5 requires an older one, " * 3
    never = {"started_at": None, "finished_at": None}
    http.answers["/v1/builds"] = {
        "builds": [
            ROW
            | never
            | {"model": "fraud", "state": "queued", "waits_for": "a free worker", "priority": "high"},
            ROW | {"model": "churn", "state": "failed", "reason": "dependencies", "message": why},
            ROW | {"model": "scores", "state": "built", "warnings": ["of another scikit-learn"]},
        ]
    }
    lines = so1s("build", "list").lines
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines[:4]] == [
        ["build", "state", "queued", "took", "priority"],
        ["fraud@2026-11-24", "queued", "2026-11-24", "12:00:00", "UTC", "—", "high"],
        ["churn@2026-11-24", "failed", "2026-11-24", "12:00:00", "UTC", "72.4", "s", "normal"],
        ["scores@2026-11-24", "built", "2026-11-24", "12:00:00", "UTC", "72.4", "s", "normal"],
    ]
    assert lines[4] == "fraud@2026-11-24  a free worker"
    assert lines[5].startswith("churn@2026-11-24  dependencies: no version of numpy fits: scikit-learn 1.5")
    assert all(line.startswith(" " * 18) for line in lines[6:-1])
    assert lines[-1] == "scores@2026-11-24  warning: of another scikit-learn"


def built(request) -> ImageBuilt:
    image = Image(reference="oci:/images@sha256:" + "a" * 64, digest="sha256:" + "a" * 64, size_bytes=1)
    said = request.model_dump(include={"account", "model", "version"})
    return ImageBuilt(
        **said,
        image=image,
        format="skops",
        signature=Signature(inputs=[], outputs=[]),
        user="me",
        deploy=None,
        seconds=1,
    )


def failed(request, reason: str = "cancelled") -> BuildFailed:
    said = request.model_dump(include={"account", "model", "version"})
    tail = ["hint: do this"]
    return BuildFailed(**said, reason=reason, step="model", message=f"{reason} by it", log_tail=tail)


async def test_a_failed_build_is_tried_again(so1s, answering):
    asked = []
    async with answering(BuildRequested, lambda request: asked.append(request) or [built(request)]):
        result = await asyncio.to_thread(so1s, "build", "retry", "fraud@3")
    assert result.code == 0, result.err
    assert result.out.startswith("built sha256:aaaa")
    assert [request.only_failed for request in asked] == [True]


async def test_a_build_that_fails_again_fails_the_command_with_the_end_of_its_log(so1s, answering):
    async with answering(BuildRequested, lambda request: [failed(request, "dependencies")]):
        result = await asyncio.to_thread(so1s, "build", "retry", "fraud@3", "-o", "json")
    assert result.code == 1
    assert "fraud@3 was not built: dependencies at step model" in result.err
    assert "hint: do this" in result.err


async def test_a_build_is_cancelled(so1s, answering):
    async with answering(BuildCancelled, lambda request: [failed(request)]):
        result = await asyncio.to_thread(so1s, "build", "cancel", "fraud@3", "-o", "json")
    assert result.code == 0, result.err
    assert result.json["reason"] == "cancelled"


async def test_a_build_that_is_done_is_not_cancelled(so1s, answering):
    async with answering(BuildCancelled, lambda request: [built(request)]):
        result = await asyncio.to_thread(so1s, "build", "cancel", "fraud@3")
    assert result.code == 2
    assert "it is built" in result.err
