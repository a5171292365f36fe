"""Publishing a model and waiting for it, beside services that the tests play."""

import asyncio
import hashlib
import re
import tarfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import so1s
from so1s import events
from so1s.errors import InvalidInput
from so1s.events.envelope import Cause
from so1s.events.ids import content_id
from so1s.platform import ClientSettings
from so1s.publisher import Publisher
from so1s.settings import KafkaSettings
from so1s.ways.http import client_options
from tests import played_events as played


@pytest.fixture(params=["kafka", "http"])
def laptop(request, settings, tmp_path) -> ClientSettings:
    """The settings of a client, of each way to a platform."""
    if request.param == "http":
        return request.getfixturevalue("over_http")
    return settings.model_copy(update={"artifacts": f"file://{tmp_path}/artifacts/", "account": "risk"})


@pytest.fixture
def out(tmp_path) -> Path:
    directory = tmp_path / "out"
    (directory / "deep").mkdir(parents=True)
    (directory / "model.skops").write_bytes(b"weights")
    (directory / "deep" / "vocabulary.txt").write_text("words")
    (directory / ".DS_Store").write_text("noise")
    return directory


@pytest.fixture
def model() -> str:
    return f"m-{uuid.uuid4().hex[:8]}"


def publish(laptop, out, model, **options):
    return so1s.publish_model(model, out, version="3", settings=laptop, **options)


def in_vain(published, *, until):
    """What is said of a version that does not serve: waits longer each time, until that has these words."""
    for seconds in (0.5, 2, 10, 60):
        with pytest.raises(so1s.NotServing) as raised:
            published.wait_until_serving(seconds)
        assert isinstance(raised.value, TimeoutError)
        if until in str(raised.value):
            break
    return str(raised.value)


def answer(laptop, published, *answers):
    """Say events as the services would: each is caused by the upload's chain."""
    cause = Cause(published.event_id, published.event_id)
    with Publisher(KafkaSettings(kafka=laptop.kafka)) as publisher:
        said = {
            publisher.publish(each, id=_id_of(each, cause), source="so1s/played", cause=cause)
            for each in answers
        }
    if laptop.url:
        _until_console_knows(laptop, published, said)


def _id_of(event, cause):
    """Another one in each chain, as those of the services are."""
    return content_id(f"so1s/played/{cause.event_id}", event.type, event.key, event.to_json())


def _until_console_knows(laptop, published, said):
    deadline = time.monotonic() + 60
    with httpx.Client(**client_options(laptop)) as http:
        while not said <= {each["id"] for each in _events(http, published.event_id)}:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _events(http, chain):
    return http.get(f"/v1/chains/{chain}").json()["events"]


def test_a_pod_whose_user_has_no_name_can_publish(laptop, out, model, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 5)
    assert publish(laptop, out, model).event.uploaded_by == "unknown"


def test_a_directory_is_uploaded_as_one_checked_file(laptop, out, model):
    artifact = publish(laptop, out, model).event.artifact
    file = Path(artifact.uri.removeprefix("file://"))
    assert file.is_relative_to(Path(laptop.artifacts.removeprefix("file://")) / "risk" / model / "3")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == artifact.sha256
    assert artifact.size_bytes == file.stat().st_size
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["deep/vocabulary.txt", "model.skops"]


def test_a_file_keeps_its_name_and_bytes(laptop, out, model):
    artifact = publish(laptop, out / "model.skops", model).event.artifact
    file = Path(artifact.uri.removeprefix("file://"))
    assert (file.name, file.read_bytes()) == ("model.skops", b"weights")


def test_publishing_again_is_the_same_event_even_after_the_files_were_touched(laptop, out, model):
    first = publish(laptop, out, model)
    (out / "model.skops").touch()
    again = publish(laptop, out, model)
    assert (again.event_id, again.event) == (first.event_id, first.event)


def test_other_bytes_do_not_overwrite_the_first_ones(laptop, out, model):
    first = publish(laptop, out, model)
    (out / "model.skops").write_bytes(b"others")
    other = publish(laptop, out, model)
    assert other.event.artifact.uri != first.event.artifact.uri
    assert Path(first.event.artifact.uri.removeprefix("file://")).exists()


def test_what_is_uploaded_already_is_only_named(laptop, model):
    uri = "s3://ml/fraud/3.skops"
    assert publish(laptop, uri, model).event.artifact == events.Artifact(uri=uri)


def test_every_field_of_the_event_can_be_said(laptop, out, model):
    event = publish(
        laptop,
        out,
        model,
        format="skops",
        uploaded_by="airflow:risk_daily",
        lineage={"commit": "4f1c2ab"},
        evaluation={"auc": 0.943},
        labels={"team": "fraud-ds"},
        deploy={"deployment": "fraud-next", "initial_percent": 10, "resources": {"memory_mib": 1024}},
        alerts=[{"availability_below": 0.99}],
    ).event
    assert event.uploaded_by == "airflow:risk_daily"
    assert event.lineage == events.Lineage(commit="4f1c2ab")
    assert event.deploy is not None
    assert event.deploy.resources == events.ResourceOptions(memory_mib=1024)
    assert event.alerts == [events.AlertRule(availability_below=0.99)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "manual__2026-01-01T00:00:00+00:00"}, "for example 'manual__2026-01-01T00-00-00-00-00'"),
        ({"version": "3", "account": "R"}, "account: 'R' is not allowed"),
        ({"version": "3", "deploy": {"deploymnt": "x"}}, r"deploy\.deploymnt"),
        ({"version": "3", "evaluation": {"auc": float("nan")}}, r"evaluation\.auc"),
        (
            {"version": "3", "deploy": {"scaling": {"min_replicas": 3, "max_replicas": 1}}},
            r"max_replicas: 1 is not allowed; allowed: at least min_replicas, 3",
        ),
    ],
)
def test_a_broken_rule_names_the_field_before_anything_is_uploaded(laptop, out, model, options, message):
    with pytest.raises(InvalidInput, match=message):
        so1s.publish_model(model, out, settings=laptop, **options)
    assert not (out.parent / "artifacts").exists()


def test_a_broken_so1s_yaml_is_told_before_anything_is_uploaded(laptop, out, model):
    (out / "so1s.yaml").write_text("schema: so1s/v1\nfromat: skops\n")
    with pytest.raises(InvalidInput, match="fromat"):
        publish(laptop, out, model)
    assert not (out.parent / "artifacts").exists()


@pytest.mark.parametrize("name", ["account", "artifacts"])
@pytest.mark.parametrize("laptop", ["kafka"], indirect=True)
def test_a_missing_setting_is_named_by_its_variable(laptop, out, model, name):
    with pytest.raises(InvalidInput, match=f"SO1S_{name.upper()}"):
        publish(laptop.model_copy(update={name: None}), out, model)


@pytest.mark.parametrize(
    ("said", "path", "named"),
    [
        ({}, "out", ["platform", "account", "SO1S_ARTIFACTS"]),
        ({}, "s3://models/risk/fraud/3.onnx", ["platform", "account"]),
        ({"KAFKA": "127.0.0.1:1"}, "out", ["account", "SO1S_ARTIFACTS"]),
        ({"KAFKA": "127.0.0.1:1", "ACCOUNT": "risk"}, "out", ["SO1S_ARTIFACTS"]),
        ({"URL": "http://127.0.0.1:1"}, "out", ["SO1S_TOKEN"]),
    ],
)
def test_all_settings_that_are_missing_are_named_at_once_and_the_platform_first(
    said, path, named, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("KAFKA", "URL", "TOKEN", "ACCOUNT", "ARTIFACTS"):
        monkeypatch.delenv(f"SO1S_{name}", raising=False)
    for name, value in said.items():
        monkeypatch.setenv(f"SO1S_{name}", value)
    with pytest.raises(InvalidInput) as error:
        so1s.publish_model("fraud", path, version="3")
    assert [problem.field for problem in error.value.problems] == named


def test_a_link_is_not_followed(laptop, out, model):
    (out / "secrets").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="no links"):
        publish(laptop, out, model)


def test_waiting_ends_with_the_applied_route_and_tells_each_step(laptop, out, model):
    published = publish(laptop, out, model)
    answer(laptop, published, played.built(model), played.ready(model), played.applied(model))
    steps = []
    serving = published.wait_until_serving(60, on_step=steps.append)
    assert serving == so1s.Serving(f"http://{model}--risk.so1s.localhost:8080", 7)
    assert [step.name for step in steps] == ["published", "built", "ready", "serving"]
    assert all(0 <= step.seconds < 10 for step in steps)


def test_an_event_that_was_sent_twice_is_one_step(laptop, out, model):
    published = publish(laptop, out, model)
    answer(
        laptop,
        published,
        played.built(model),
        played.built(model),
        played.ready(model),
        played.applied(model),
    )
    steps = []
    published.wait_until_serving(60, on_step=steps.append)
    assert [step.name for step in steps] == ["published", "built", "ready", "serving"]


def test_waiting_follows_events_that_come_later(laptop, out, model):
    published = publish(laptop, out, model)
    steps = []

    def play(step):
        steps.append(step.name)
        following = {
            "published": played.built(model),
            "built": played.ready(model),
            "ready": played.applied(model),
        }
        with ThreadPoolExecutor() as thread:
            if step.name in following:
                thread.submit(answer, laptop, published, following[step.name]).result()

    assert published.wait_until_serving(60, on_step=play).revision == 7
    assert steps == ["published", "built", "ready", "serving"]


def test_waiting_for_a_version_that_is_only_built_ends_with_the_image(laptop, out, model):
    published = publish(laptop, out, model, deploy=None)
    answer(laptop, published, played.built(model, deployed=False))
    assert published.wait_until_serving(60) == so1s.Serving(None, None)


def test_waiting_for_a_deployment_without_an_endpoint_ends_with_its_readiness(laptop, out, model):
    published = publish(laptop, out, model)
    answer(laptop, published, played.built(model), played.ready(model, endpoint=None))
    assert published.wait_until_serving(60) == so1s.Serving("http://127.0.0.1:1", None)


def test_a_route_counts_only_once_the_required_checks_have_passed(laptop, out, model):
    published = publish(laptop, out, model)
    answer(
        laptop,
        published,
        played.built(model),
        played.ready(model, requires=["quality"]),
        played.applied(model, 1),
    )
    in_vain(published, until="ready after")
    answer(laptop, published, played.checked(model, passed=True), played.applied(model, 2))
    assert published.wait_until_serving(60).revision == 2


def test_a_candidate_serves_once_its_checks_have_passed(laptop, out, model):
    published = publish(laptop, out, model)
    candidate = played.ready(model, requires=["quality"], candidate=True, endpoint=None)
    answer(laptop, published, played.built(model), candidate)
    assert "it waits for the check quality" in in_vain(published, until="ready after")
    answer(laptop, published, played.checked(model, passed=True), played.ready(model, endpoint=None))
    steps = []
    assert published.wait_until_serving(60, on_step=steps.append).url == "http://127.0.0.1:1"
    assert [step.name for step in steps].count("ready") == 1


def test_a_failed_build_raises_with_the_tail_of_its_log(laptop, out, model):
    published = publish(laptop, out, model)
    failed = played.build_failed(model)
    answer(laptop, published, failed)
    with pytest.raises(so1s.BuildFailed, match="uv could not install") as raised:
        published.wait_until_serving(60)
    assert "because numpy==9 does not exist" in str(raised.value)
    assert raised.value.event == failed


FAILURES = {
    "build": (played.build_failed,),
    "deployment": (played.built, played.deployment_failed),
    "route": (played.built, played.ready, lambda model: played.rejected(model, "requires", "quality", "x")),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_failed_is_tried_again_by_the_next_call_which_waits_for_the_new_try(laptop, out, model, failure):
    first = publish(laptop, out, model)
    answer(laptop, first, *(said(model) for said in FAILURES[failure]))
    with pytest.raises(so1s.FlowFailed):
        first.wait_until_serving(60)

    again = publish(laptop, out, model)
    assert (again.event, again.event_id != first.event_id) == (first.event, True)
    with pytest.raises(so1s.NotServing, match="reached: published after"):
        again.wait_until_serving(1)
    assert publish(laptop, out, model).event_id == again.event_id  # that one goes on
    answer(laptop, again, played.built(model), played.ready(model), played.applied(model))
    assert again.wait_until_serving(60).revision == 7
    assert publish(laptop, out, model).event_id == again.event_id


def test_each_failure_is_followed_by_another_try(laptop, out, model):
    tries = []
    for _ in range(3):
        tries.append(publish(laptop, out, model))
        answer(laptop, tries[-1], played.build_failed(model))
        with pytest.raises(so1s.BuildFailed):
            tries[-1].wait_until_serving(60)
    assert len({each.event_id for each in tries}) == 3


def test_a_retry_does_not_displace_what_was_uploaded_later(laptop, out, model):
    first = publish(laptop, out, model)
    superseded = played.deployment_failed(model).model_copy(update={"reason": "superseded"})
    answer(laptop, first, played.built(model), superseded)
    again = publish(laptop, out, model)
    assert again.event_id == first.event_id
    with pytest.raises(so1s.DeploymentFailed, match="superseded"):
        again.wait_until_serving(60)


def test_a_failed_deployment_raises(laptop, out, model):
    published = publish(laptop, out, model)
    answer(laptop, published, played.built(model), played.deployment_failed(model))
    with pytest.raises(so1s.DeploymentFailed, match="crash_loop: it ended 5 times\n  MemoryError"):
        published.wait_until_serving(60)


def test_a_rejected_route_raises_with_what_is_allowed(laptop, out, model):
    published = publish(laptop, out, model)
    rejected = played.rejected(model, "requires", "quality", "passed checks")
    answer(laptop, published, played.built(model), played.ready(model), rejected)
    with pytest.raises(so1s.RoutesRejected, match="requires: quality is not allowed; allowed: passed checks"):
        published.wait_until_serving(60)


def test_a_time_that_is_over_says_how_far_it_got(laptop, out, model):
    published = publish(laptop, out, model)
    answer(laptop, published, played.built(model))
    said = in_vain(published, until="it waits for the replicas")
    assert re.search(r"published after 0\.0 s, built after ", said)


def test_a_time_that_is_over_names_the_check_that_gave_no_verdict(laptop, out, model):
    published = publish(laptop, out, model)
    ready = played.ready(model).model_copy(update={"endpoint": "shared", "requires": ["quality"]})
    answer(laptop, published, played.built(model), ready)
    waits = "waits for the check quality (so1s dlq list quality), then the route (so1s weights show shared)"
    assert waits in in_vain(published, until="ready after")


async def test_it_works_in_a_notebook_whose_thread_runs_a_loop(laptop, out, model):
    assert asyncio.get_running_loop()
    assert publish(laptop, out, model).event.model == model


async def test_waiting_that_is_cancelled_leaves_no_work_behind(laptop, out, model):
    published = await asyncio.to_thread(publish, laptop, out, model)
    seen = asyncio.Event()
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(published.until_serving(30, on_step=lambda _step: seen.set()))
    await seen.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == before


def test_events_of_another_upload_change_nothing(laptop, out, model):
    other, published = publish(laptop, out, f"{model}-other"), publish(laptop, out, model)
    answer(laptop, other, played.built(model), played.ready(model), played.applied(model))
    with pytest.raises(so1s.NotServing):
        published.wait_until_serving(0.5)
