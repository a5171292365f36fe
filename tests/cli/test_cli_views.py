"""What the read APIs say, as people and programs see it."""

import asyncio
import json
import socket
import uuid

import pytest

from so1s.broker.producer import Producer
from so1s.broker.topics import dead_letter_topic, provision
from so1s.cli.deployments import after
from so1s.cli.doctor import SERVICES
from so1s.events.envelope import Record

DEPLOYMENT = {
    "deployment": "fraud",
    "model": "fraud",
    "version": "3",
    "revision": 2,
    "state": "ready",
    "ready": 1,
    "desired": 2,
    "restarts": 0,
    "endpoint": None,
}
VARIANT = {"state": "attached", "weight": 0, "model": "fraud", "checks": {}, "in_use": None}
ENDPOINT = {
    "endpoint": "fraud",
    "url": "http://fraud--risk.so1s.localhost:8080",
    "removed": False,
    "revision": 7,
    "applied": True,
    "waits": [],
    "variants": [
        VARIANT | {"variant": "fraud", "weight": 90, "version": "3"},
        VARIANT | {"variant": "fraud-next", "weight": 10, "version": "4"},
        VARIANT | {"variant": "fraud-old", "state": "detached", "version": "1"},
    ],
}
INCIDENT = {
    "state": "open",
    "severity": "critical",
    "subject": "endpoint fraud, variant fraud-next",
    "summary": "availability 0.91",
    "opened_at": "2026-01-01T00:00:00+00:00",
}
BUILD = {
    "model": "fraud",
    "version": "3",
    "state": "built",
    "reason": None,
    "message": None,
    "queued_at": "2026-01-01T00:00:00.000Z",
}
BILL = {
    "account": "risk",
    "by": ["model", "resource"],
    "rows": [
        {
            "model": "fraud",
            "resource": "cpu_reserved",
            "usage": "0.5 vCPU-hour",
            "amount_usd": "0.020000000",
            "amount_nano_usd": 20_000_000,
        }
    ],
    "currency": "USD",
    "total": {"amount_usd": "0.020000000", "amount_nano_usd": 20_000_000},
}


@pytest.fixture(autouse=True)
def played(laptop, http):
    http.answers |= {
        "/v1/builds": {"builds": [BUILD]},
        "/v1/deployments": {"deployments": [DEPLOYMENT]},
        "/v1/endpoints": {"endpoints": [ENDPOINT, ENDPOINT | {"endpoint": "gone", "removed": True}]},
        "/v1/incidents": {"incidents": [INCIDENT, INCIDENT | {"state": "resolved", "summary": "old"}]},
        "/v1/bills/risk": BILL,
    }


def test_status_shows_what_serves_and_what_is_wrong(so1s):
    result = so1s("status")
    assert result.code == 0
    for shown in ("fraud@3", "1/2", "revision 7", "availability 0.91"):
        assert shown in result.out
    for hidden in ("gone", "old"):
        assert hidden not in result.out


def test_status_as_json_is_what_the_owners_say(so1s):
    data = so1s("status", "-o", "json").json
    assert data["deployments"] == [DEPLOYMENT]
    assert data["endpoints"] == [ENDPOINT]
    assert data["incidents"] == [INCIDENT]


def test_status_shows_the_upload_that_was_refused_beside_the_version_that_serves(so1s, http):
    refused = {
        "state": "refused",
        "reason": "version_conflict",
        "message": "fraud@3 exists with other bytes",
        "queued_at": "2026-01-02T00:00:00.000Z",
    }
    before = {"version": "2", "state": "failed", "message": "old", "queued_at": "2025-12-31T00:00:00.000Z"}
    http.answers["/v1/builds"] = {"builds": [BUILD | refused, BUILD, BUILD | before]}
    result = so1s("status")
    assert "fraud@3 exists with other bytes" in result.out
    assert "old" not in result.out
    assert so1s("status", "-o", "json").json["builds"] == [BUILD | refused]


def test_status_tells_of_a_failed_build_once(so1s, http):
    failed = BUILD | {"model": "worse", "state": "failed", "message": "numpy==9 does not exist"}
    incident = INCIDENT | {"subject": "model worse", "summary": "worse@3 was not built"}
    http.answers["/v1/builds"] = {"builds": [BUILD, failed]}
    http.answers["/v1/incidents"] = {"incidents": [incident]}
    result = so1s("status")
    assert ("does not exist" in result.out, "was not built" in result.out) == (True, False)
    assert "no open incident" not in result.out
    assert so1s("status", "-o", "json").json["incidents"] == [incident]
    http.answers["/v1/builds"] = {"builds": [BUILD]}
    assert "was not built" in so1s("status").out


async def test_status_shows_which_services_have_dead_letters_of_the_account(so1s, laptop):
    name = f"s-{uuid.uuid4().hex[:8]}"
    topic = dead_letter_topic(name)
    await provision(laptop, [topic])
    structured = b'{"specversion": "1.0", "type": "so1s.ModelUploaded.v1", "data": {"account": "risk"}}'
    records = [
        (b"risk/fraud", b"{}"),
        (None, b'{"account": "risk"}'),
        (None, structured),
        (b"winery/red", b"{}"),
        (b"key", b"\xff"),
        (b"key", b'{"account": 7}'),
        (b"key", b"[" * 100_000),
        (b"", None),  # as one that was too large to be kept
    ]
    async with Producer(laptop) as producer:
        await producer.send([Record("", topic.name, key, [], value) for key, value in records])
    said = await asyncio.to_thread(so1s, "status", "-o", "json")
    assert (said.json["dead_letters"][name], said.json["unowned_dead_letters"][name]) == (3, 4)
    shown = " ".join((await asyncio.to_thread(so1s, "status")).out.split())
    assert (f"{name} 3," in shown, f"{name} 4 (not said whose)" in shown) == (True, True)
    another = await asyncio.to_thread(so1s, "status", "--account", "winery", "-o", "json")
    assert another.json["dead_letters"][name] == 1


@pytest.mark.parametrize("listens", [False, True])
def test_status_without_kafka_tells_the_rest(so1s, http, monkeypatch, listens):
    if listens:
        monkeypatch.setattr("so1s.cli.status._LETTERS_SECONDS", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and answers nothing
    port = silent.getsockname()[1] if listens else 1
    monkeypatch.setenv("SO1S_KAFKA", f"127.0.0.1:{port}")
    for service in ("BUILDER", "DEPLOYER", "ROUTER", "ALERTER"):
        monkeypatch.setenv(f"SO1S_{service}_URL", http.url)
    result = so1s("status", "--account", "risk", "-o", "json")
    silent.close()
    assert (result.json["dead_letters"], result.json["deployments"]) == (None, [DEPLOYMENT])
    assert result.err == ("→ dead letters: not counted in 0.2 s\n" if listens else "")


def test_a_warning_stays_in_sight_as_long_as_the_version_is_deployed(so1s, http):
    warned = BUILD | {"warnings": ["the model is a pickle"]}
    gone = warned | {"version": "2", "warnings": ["of a version that is not deployed"]}
    http.answers["/v1/builds"] = {"builds": [warned, gone]}
    assert so1s("status", "-o", "json").json["warnings"] == [
        {"version": "fraud@3", "warning": "the model is a pickle"}
    ]
    shown = so1s("status").out
    assert "the model is a pickle" in shown
    assert "not deployed" not in shown


def test_the_list_of_builds_has_what_they_warned_of(so1s, http):
    ended = {"finished_at": None, "warnings": ["the model is a pickle"]}
    http.answers["/v1/builds"] = {"builds": [BUILD | ended]}
    assert "the model is a pickle" in so1s("build", "list").out


def test_weights_are_drawn_to_scale_without_detached_variants(so1s):
    head, first, second = so1s("weights", "show", "fraud").lines
    assert "revision 7" in head
    assert "90.0 %" in first
    assert "10.0 %" in second
    assert first.count("█") == 9 * second.count("█")


def test_a_variant_says_which_checks_it_waits_for_and_which_it_failed(so1s, http):
    checks = {
        "drift": {"passed": None, "reason": "no verdict yet"},
        "quality": {"passed": False, "reason": "accuracy 0.5"},
        "schema": {"passed": True, "reason": "same"},
    }
    gated = ENDPOINT | {"variants": [VARIANT | {"variant": "fraud", "version": "3", "checks": checks}]}
    http.answers["/v1/endpoints"] = {"endpoints": [gated]}
    _, shown = so1s("weights", "show", "fraud").lines
    assert shown.endswith("waits for the check drift; quality failed: accuracy 0.5")


def test_a_variant_that_is_to_go_says_what_keeps_it(so1s, http):
    used = VARIANT | {
        "variant": "fraud",
        "weight": 1,
        "version": "3",
        "in_use": "it takes all traffic of fraud",
    }
    http.answers["/v1/endpoints"] = {"endpoints": [ENDPOINT | {"variants": [used]}]}
    _, shown = so1s("weights", "show", "fraud").lines
    assert shown.endswith("█  is to go, but it takes all traffic of fraud")


def test_weights_that_wait_are_shown_below_those_that_are_so(so1s, http):
    change = {"event_id": "x", "weights": {"fraud": 1, "fraud-next": 3}, "until": "2026-01-01T12:03:10Z"}
    waits = [change | {"for": {"fraud-next": "check quality"}}]
    http.answers["/v1/endpoints"] = {"endpoints": [ENDPOINT | {"waits": waits}]}
    *_, last = so1s("weights", "show", "fraud").lines
    assert last == "then fraud=1 fraud-next=3: fraud-next waits for check quality, until 12:03:10 UTC"


def test_times_are_shown_to_the_second(so1s):
    assert "2026-01-01 00:00:00 UTC" in so1s("status").out


def test_weights_of_an_unknown_endpoint_name_the_known_ones(so1s):
    result = so1s("weights", "show", "nope")
    assert result.code == 2
    assert "an endpoint of risk: fraud" in result.err


def test_a_bill_is_asked_for_by_what_was_said(so1s, http):
    result = so1s("bill", "--by", "model,resource", "--from", "2026-01-01", "--to", "2026-01-31")
    assert result.code == 0
    assert "0.5 vCPU-hour" in result.out
    assert result.lines[-1] == "total 0.020000000 USD"
    asked, _, _ = http.asked[-1]
    assert asked == "/v1/bills/risk?by=model%2Cresource&from=2026-01-01&to=2026-01-31"


def test_a_bill_that_ends_before_it_begins_is_refused(so1s, http):
    result = so1s("bill", "--from", "2026-01-31", "--to", "2026-01-01")
    assert (result.code, http.asked) == (2, [])
    assert (
        "to: '2026-01-01' is not allowed; allowed: 2026-01-31, the day of --from, or a later one"
        in result.err
    )
    assert so1s("bill", "--from", "2026-01-31", "--to", "2026-01-31").code == 0


def test_a_recomputed_bill_that_equals_says_so(so1s, http):
    http.answers["/v1/bills/risk/recomputed"] = BILL | {"equal": True, "differences": []}
    result = so1s("bill", "--recompute")
    assert result.code == 0
    assert "✓ equals the ledger to the last unit" in result.out


def test_a_recomputed_bill_that_differs_ends_with_1(so1s, http):
    http.answers["/v1/bills/risk/recomputed"] = BILL | {"equal": False, "differences": BILL["rows"]}
    result = so1s("bill", "--recompute")
    assert result.code == 1
    assert "1 lines differ" in result.out


@pytest.mark.parametrize(("status", "code"), [(400, 2), (404, 2), (500, 1)])
def test_what_a_service_refuses_is_told_in_its_own_words(so1s, http, status, code):
    http.answers["/v1/bills/risk"] = lambda *_: (status, {}, b'{"error": "by: \'x\' is not allowed"}')
    result = so1s("bill", "--by", "x")
    assert (result.code, result.err) == (code, "✗ billing: by: 'x' is not allowed\n")


def revision(number, version, state, **changes):
    about = {"model": "fraud", "requested_by": "user:jiho", "requested_at": f"2026-01-0{number}T00:00:00Z"}
    about |= {"ready_at": None, "failure": None, "workload": {}}
    return {"revision": number, "version": version, "state": state} | about | changes


def test_a_deployments_history_tells_each_revision_and_the_way_back(so1s, http):
    failure = {"reason": "crash_loop", "message": "it ended 5 times"}
    revisions = [
        revision(4, "4", "serving"),
        revision(3, "3", "failed", failure=failure),
        revision(2, "2", "replaced"),
        revision(1, "1", "replaced"),
    ]
    http.answers["/v1/deployments/risk/fraud/revisions"] = {"revisions": revisions}
    result = so1s("history", "fraud")
    head, newest, failed, *_, back = result.lines
    assert head.split()[:5] == ["revision", "version", "state", "when", "by"]
    assert newest.split()[:3] == ["4", "fraud@4", "serving"]
    assert failed.endswith("user:jiho   crash_loop: it ended 5 times")
    assert "2026-01-03 00:00:00 UTC" in failed
    assert back == "back to the version before: so1s rollback fraud"
    assert so1s("history", "fraud", "-o", "json").json == revisions


@pytest.mark.parametrize(
    "revisions", [[revision(1, "1", "serving")], [revision(2, "2", "removed"), revision(1, "1", "replaced")]]
)
def test_where_no_way_leads_back_none_is_shown(so1s, http, revisions):
    http.answers["/v1/deployments/risk/fraud/revisions"] = {"revisions": revisions}
    assert "rollback" not in so1s("history", "fraud").out


def test_logs_are_what_the_replicas_wrote(so1s, http):
    http.answers["/v1/deployments/risk/fraud/logs"] = "a\nb\n"
    assert so1s("logs", "fraud", "-n", "2").lines == ["a", "b"]
    assert http.asked[-1][0] == "/v1/deployments/risk/fraud/logs?lines=2"


def test_a_line_of_a_log_is_neither_broken_nor_taken_for_markup(so1s, http):
    line = '{"event": "request failed", "shape": "[bold] [1,2]", "error": "' + "x" * 500 + '"}'
    http.answers["/v1/deployments/risk/fraud/logs"] = f"{line}\n"
    assert so1s("logs", "fraud").lines == [line]


@pytest.mark.parametrize(
    ("seen", "now", "new"),
    [
        ([], ["a"], ["a"]),
        (["a"], ["a", "b"], ["b"]),
        (["a", "b"], ["b", "c"], ["c"]),
        (["a"], ["x", "y"], ["x", "y"]),
        (["a"], ["a"], []),
    ],
)
def test_followed_logs_show_only_what_is_new(seen, now, new):
    assert after(seen, now) == new


def test_builds_are_listed_and_read(so1s, http):
    row = {
        "model": "fraud",
        "version": "3",
        "state": "failed",
        "reason": "dependencies",
        "message": "pip said no",
        "queued_at": "2026-01-01T00:00:00.123Z",
        "finished_at": None,
    }
    http.answers["/v1/builds"] = {"builds": [row]}
    http.answers["/v1/builds/risk/fraud/3/log"] = "fetch: started\n"
    assert "pip said no" in so1s("build", "list").out
    assert so1s("build", "logs", "fraud@3").lines == ["fetch: started"]
    assert so1s("build", "logs", "fraud").code == 2


def test_doctor_finds_a_whole_platform(so1s, http):
    http.answers["/readyz"] = {"ready": True}
    result = so1s("doctor")
    assert result.code == 0, result.out
    assert len(result.lines) == len(SERVICES) + 4
    assert all(line.startswith("✓") for line in result.lines)


def test_doctor_names_the_part_that_is_not_ready_and_what_to_do(so1s, http):
    result = so1s("doctor", "-o", "json")
    assert result.code == 3
    wrong = {each["part"]: each for each in json.loads(result.out) if not each["ok"]}
    assert wrong.keys() == set(SERVICES)
    assert all(each["advice"] for each in wrong.values())


def test_doctor_without_a_platform_says_how_to_get_one(so1s, tmp_path):
    (tmp_path / ".so1s" / "platform.json").unlink()
    result = so1s("doctor")
    assert result.code == 3
    assert "make up" in result.out
