"""What a builder decides."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.builder.domain.archive import Budget, inner_path
from services.builder.domain.contents import choose_model
from services.builder.domain.failure import BuildError, Hostile
from services.builder.domain.image import Base, Layer, configuration, python_abi
from services.builder.domain.location import locate
from services.builder.domain.options import merge
from services.builder.domain.queue import Turn, choose, place
from services.builder.domain.reference import Reference
from services.builder.domain.version import Bound, conflict
from so1s.events import AlertRule, Artifact, DeployOptions, ModelUploaded, ResourceOptions, ScalingOptions
from so1s.formats.content import is_onnx, recognise
from so1s.modelfile import ModelFile


def uploaded(**said) -> ModelUploaded:
    return ModelUploaded(
        account="risk", model="fraud", version="3", artifact=Artifact(uri="s3://models/risk/3"), **said
    )


def described(**said) -> ModelFile:
    return ModelFile.model_validate({"schema": "so1s/v1", **said})


# --- where artifacts may lie


PREFIXES = ["s3://models/{account}/", "file:///data/{account}/"]


@pytest.mark.parametrize("uri", ["s3://models/risk/fraud/3.skops", "file:///data/risk/out/"])
def test_an_artifact_under_a_prefix_of_its_account_is_located(uri):
    assert locate(uri, "risk", PREFIXES).uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "s3://models/ads/fraud/3",
        "s3://models/risk2/3",
        "s3://models/risk/",
        "s3://other/risk/3",
        "file:///etc/passwd",
        "file:///data/ads/3",
    ],
)
def test_an_artifact_elsewhere_is_refused_with_the_allowed_prefixes(uri):
    with pytest.raises(BuildError) as error:
        locate(uri, "risk", PREFIXES)

    assert error.value.reason == "artifact"
    assert "artifact.uri" in str(error.value)
    assert uri in str(error.value)
    assert "s3://models/risk/" in str(error.value)


# --- which layer's options win


def test_the_event_wins_over_the_file_option_by_option():
    event = uploaded(
        deploy=DeployOptions(endpoint="cards", resources=ResourceOptions(cpu_millicores=250), requires=[])
    )
    file = described(
        deploy={
            "requires": ["quality"],
            "resources": {"cpu_millicores": 500, "memory_mib": 1024},
            "scaling": {"max_replicas": 4},
        }
    )

    options = merge(event, file)

    assert options.deploy == DeployOptions(
        endpoint="cards",
        requires=[],
        resources=ResourceOptions(cpu_millicores=250, memory_mib=1024),
        scaling=ScalingOptions(max_replicas=4),
    )
    assert options.sources == {
        "endpoint": "event",
        "requires": "event",
        "resources.cpu_millicores": "event",
        "resources.memory_mib": "so1s.yaml",
        "scaling.max_replicas": "so1s.yaml",
    }


def test_a_null_deploy_in_the_event_deploys_nothing_whatever_the_file_says():
    options = merge(uploaded(deploy=None), described(deploy={"endpoint": "cards"}))

    assert options.deploy is None
    assert options.sources == {}


def test_alerts_of_the_event_replace_those_of_the_file():
    rule = AlertRule(latency_p99_above_ms=50)
    file = described(alerts=[{"availability_below": 0.9}])

    assert merge(uploaded(alerts=[rule]), file).alerts == [rule]
    assert merge(uploaded(alerts=[]), file).alerts == []
    assert merge(uploaded(), file).alerts == file.alerts
    assert merge(uploaded(), file).sources == {"alerts": "so1s.yaml"}


# --- same version, same bytes


@pytest.mark.parametrize(
    ("known", "uri", "sha256", "is_conflict"),
    [
        (None, "s3://m/risk/3", None, False),
        (None, "s3://m/risk/4", None, True),
        (None, "s3://m/risk/4", "a" * 64, True),
        (None, "s3://m/risk/3", "a" * 64, False),
        ("a" * 64, "s3://m/risk/4", "a" * 64, False),
        ("a" * 64, "s3://m/risk/3", "b" * 64, True),
        ("a" * 64, "s3://m/risk/3", None, False),
        ("a" * 64, "s3://m/risk/4", None, True),
    ],
)
def test_checksums_decide_whether_a_version_has_other_bytes_and_else_uris(known, uri, sha256, is_conflict):
    problem = conflict(Bound("s3://m/risk/3", known), Artifact(uri=uri, sha256=sha256))

    assert bool(problem) is is_conflict


# --- whose build is next


def test_an_account_that_is_being_served_does_not_hold_up_another():
    turns = {"risk": Turn(1.0, running=1, last_started_at=5.0), "ads": Turn(1000.0)}
    assert choose(turns, limit=4) == "ads"


def test_accounts_take_turns_where_none_is_running():
    turns = {"risk": Turn(1.0, last_started_at=10.0), "ads": Turn(2.0, last_started_at=3.0)}
    assert choose(turns, limit=4) == "ads"


def test_an_account_at_its_limit_is_passed_over_whatever_its_turn():
    turns = {"risk": Turn(1.0, running=2, last_started_at=1.0), "ads": Turn(2.0, running=3)}
    assert choose(turns, limit=3) == "risk"
    assert choose(turns, limit=2) is None


@given(
    waiting=st.dictionaries(st.sampled_from(["risk", "ads", "ops"]), st.integers(1, 9), min_size=1),
    limit=st.integers(1, 3),
)
def test_every_build_gets_its_turn_and_no_account_waits_longer_than_the_others_take_one_each(waiting, limit):
    left, served = dict(waiting), []
    last = dict.fromkeys(waiting, 0.0)
    while any(left.values()):
        chosen = choose({a: Turn(1.0, 0, last[a]) for a in left if left[a]}, limit)
        left[chosen] -= 1
        served.append(chosen)
        last[chosen] = float(len(served))

    assert {account: served.count(account) for account in waiting} == waiting
    rounds = min(waiting.values())
    assert all(
        set(served[n : n + len(waiting)]) == set(waiting)
        for n in range(0, rounds * len(waiting), len(waiting))
    )


def test_a_priority_overtakes_but_nothing_waits_for_ever():
    hour = 3600
    assert place(hour, "high") < place(1, "normal") < place(0, "low")
    assert place(2 * hour + 1, "high") > place(0, "low")


# --- formats


def test_models_are_recognised_by_their_content(skops_model, onnx_model):
    assert recognise(BytesIO(skops_model)) == "skops"
    assert recognise(BytesIO(onnx_model)) == "onnx"


def test_a_model_that_is_cut_short_is_not_recognised(skops_model, onnx_model):
    assert recognise(BytesIO(skops_model[:-10])) is None
    assert recognise(BytesIO(onnx_model[:-10])) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_model_by_accident(data):
    assert recognise(BytesIO(data)) is None


@given(st.data())
def test_a_damaged_head_never_raises(onnx_model, data):
    damaged = bytearray(onnx_model)
    damaged[data.draw(st.integers(0, 200))] = data.draw(st.integers(0, 255))
    is_onnx(BytesIO(bytes(damaged)))


# --- which file is the model


def test_the_only_model_is_chosen():
    recognised = {"a/model.skops": "skops", "readme.md": None}

    assert choose_model(recognised, said_file=None, said_format=None) == ("a/model.skops", "skops")


def test_one_of_several_models_is_chosen_by_format_or_by_name():
    recognised = {"m.skops": "skops", "m.onnx": "onnx"}

    assert choose_model(recognised, said_file=None, said_format="onnx") == ("m.onnx", "onnx")
    assert choose_model(recognised, said_file="m.skops", said_format=None) == ("m.skops", "skops")


@pytest.mark.parametrize(
    ("recognised", "said_file", "said_format", "said"),
    [
        ({"m.pkl": None}, None, None, "no file is a model"),
        ({"m.pkl": None}, None, "onnx", "no file is a onnx model"),
        ({"a": "onnx", "b": "onnx"}, None, None, "several models, a, b"),
        ({"a": "onnx"}, "b", None, "file: 'b'"),
        ({"a": None}, "a", None, "a is no model of onnx"),
        ({"a": "onnx"}, "a", "skops", "format: 'skops'"),
    ],
)
def test_an_unclear_choice_says_what_is_there(recognised, said_file, said_format, said):
    with pytest.raises(BuildError) as error:
        choose_model(recognised, said_file=said_file, said_format=said_format)

    assert error.value.reason == "format"
    assert said in str(error.value)


# --- names and budgets of an artifact's files


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a\\..\\x",
        "C:/x",
        "a\x00b",
        "a\nb",
        "\udcff",
        "x" * 300,
        "a/" * 600 + "x",
    ],
)
def test_a_hostile_name_is_refused(name):
    with pytest.raises(Hostile):
        inner_path(name)


@pytest.mark.parametrize("name", ["model.skops", "a/b/c.npy", "./a", "모델.onnx", "a b"])
def test_a_plain_name_is_taken(name):
    assert not inner_path(name).is_absolute()


def test_a_budget_refuses_what_is_over_it():
    budget = Budget(files=2, bytes_=10)
    budget.take_file()
    budget.take_file()
    budget.take_bytes(10)

    with pytest.raises(Hostile, match="2 files"):
        budget.take_file()
    with pytest.raises(Hostile, match="10 bytes"):
        budget.take_bytes(1)


# --- the image's configuration


def layer(name: str) -> Layer:
    return Layer(f"sha256:{name}", f"sha256:plain-{name}", 1)


def test_an_image_says_what_it_runs_on():
    base = Base.host("linux-aarch64-cp312")

    config = configuration(base, labels={"so1s.model": "fraud"}, layers=[layer("a")])

    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    assert config["config"]["Labels"] == {
        "so1s.base": "host",
        "so1s.platform": "linux-aarch64-cp312",
        "so1s.model": "fraud",
    }
    assert config["config"]["Entrypoint"][0] == "python"
    assert config["rootfs"] == {"type": "layers", "diff_ids": ["sha256:plain-a"]}


def test_an_image_keeps_its_bases_layers_variables_and_history_but_not_how_it_starts():
    said = {
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin"], "Cmd": ["bash"], "User": "root"},
        "history": [{"created_by": "debian"}, {"created_by": "ENV", "empty_layer": True}],
    }
    base = Base("host.example/base@sha256:1", "linux-x86_64-cp311", "python3", (layer("base"),), said)

    config = configuration(base, labels={}, layers=[layer("a"), layer("b")])

    diff_ids = ["sha256:plain-base", "sha256:plain-a", "sha256:plain-b"]
    assert config["rootfs"]["diff_ids"] == diff_ids
    filled = [each for each in config["history"] if not each.get("empty_layer")]
    assert len(filled) == len(diff_ids)
    assert config["history"][:2] == said["history"]
    assert config["config"]["Env"][0] == "PATH=/usr/local/bin:/usr/bin"
    assert config["config"]["Entrypoint"][0] == "python3"
    assert config["config"]["User"] == "65532:65532"
    assert "Cmd" not in config["config"]


def test_a_base_whose_history_does_not_match_its_layers_gets_one_that_does():
    base = Base("b", "linux-x86_64-cp311", "python3", (layer("x"), layer("y")), {"history": []})

    config = configuration(base, labels={}, layers=[layer("a")])

    assert len(config["history"]) == 3


@pytest.mark.parametrize(
    ("config", "abi"),
    [
        ({"Env": ["PATH=/bin", "PYTHON_VERSION=3.12.4"]}, "cp312"),
        ({"Labels": {"so1s.python": "3.11.2"}, "Env": None}, "cp311"),
        ({"Env": ["PYTHON_VERSION=three"]}, None),
        ({}, None),
    ],
)
def test_a_base_tells_its_python(config, abi):
    assert python_abi({"config": config}) == abi


@pytest.mark.parametrize(
    "text",
    ["base", "h/base:3.11", "h/base@sha256:12", f"base@sha256:{'0' * 64}", f"h/Base@sha256:{'0' * 64}"],
)
def test_a_reference_is_by_digest_and_names_its_registry(text):
    with pytest.raises(ValueError, match="a tag may move"):
        Reference.parse(text)


def test_a_reference_reads_as_it_is_written():
    text = f"registry.example:5000/so1s/base@sha256:{'0' * 64}"
    assert str(Reference.parse(text)) == text
