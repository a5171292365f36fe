"""`so1s predict`, beside a gateway that the tests play."""

import json
import os
import subprocess
import sys

import pytest

from so1s import events, publish_model
from so1s.modelfile import ModelFile
from so1s.publisher import Publisher
from so1s.sample import check
from tests import played_events as played

ONNX = b"\x08\x0a\x3a\x00\x42\x00"  # a version, a graph and an operator set, all empty
ROWS = '{"x": [[1.5, 2.5]]}'
VARIANT = {"variant": "fraud", "state": "attached", "weight": 90, "model": "fraud", "version": "3"}
ENDPOINT = {
    "endpoint": "fraud",
    "removed": False,
    "variants": [VARIANT | {"variant": "fraud-next", "weight": 10, "version": "4"}, VARIANT],
}


@pytest.fixture
def gateway(laptop, http):
    def answer(headers, body):
        told = {"x-so1s-variant": "fraud-next", "x-model": "fraud@3"}
        return 200, told, json.dumps({"host": headers["host"], "got": json.loads(body or b"null")}).encode()

    http.answers |= {
        "/v1/endpoints": {"endpoints": [ENDPOINT]},
        "/predict": answer,
        "/openapi.json": lambda *_: (200, {"x-model": "fraud@3"}, b"{}"),
    }
    return http


def test_the_host_names_the_endpoint_and_the_answer_names_who_gave_it(so1s, gateway):
    result = so1s("predict", "fraud", "--data", ROWS)
    assert result.code == 0
    port = gateway.url.rpartition(":")[2]
    assert f'"host": "fraud--risk.so1s.localhost:{port}"' in result.out
    assert result.out.rstrip().endswith("fraud-next  fraud@3")
    assert " ms " in result.out


def test_json_holds_the_answer_and_the_time(so1s, gateway):
    said = so1s("predict", "fraud", "--data", ROWS, "-o", "json").json
    assert said["answer"]["got"] == json.loads(ROWS)
    assert said["milliseconds"] > 0
    assert (said["variant"], said["model"]) == ("fraud-next", "fraud@3")


def test_data_comes_from_a_file_too(so1s, gateway, tmp_path):
    (tmp_path / "rows.json").write_text(ROWS)
    assert so1s("predict", "fraud", "--data", "@rows.json", "-o", "json").json["answer"]["got"] == json.loads(
        ROWS
    )


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "Über"), ("ascii", "\\u00dcber")])
def test_an_answer_is_shown_as_it_is_where_the_output_has_its_characters(
    gateway, tmp_path, encoding, shown, form
):
    gateway.answers["/predict"] = {"label": ["Über"]}
    command = [sys.executable, "-c", "from so1s.cli import main; main()", "predict", "fraud", "--data", "{}"]
    done = subprocess.run(
        [*command, "-o", form],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert shown in done.stdout.decode(encoding)


def test_joined_characters_and_spaces_of_a_text_are_no_danger(so1s, gateway):
    label = "👩\u200d🔬 می\u200cشد 12\u00a0€"
    gateway.answers["/predict"] = {"label": label}
    assert label in so1s("predict", "fraud", "--data", "{}", "-o", "json").out


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_cannot_be_seen_in_an_answer_is_escaped(so1s, gateway, form):
    label = "Ü\x1b\x7f\x9b\u202e\u2028\U000e0001\n"
    gateway.answers["/predict"] = {"label": label}
    shown = so1s("predict", "fraud", "--data", "{}", "-o", form).out
    assert r'"Ü\u001b\u007f\u009b\u202e\u2028\udb40\udc01\n"' in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --data JSON|@FILE|-, --file PATH, or --sample"),
        (["--data", "{"], "allowed: JSON"),
        (["--data", "@gone.json"], "No such file"),
        (["--data", "{}", "--sample"], "either"),
        (["--file", "a.png", "--sample"], "either"),
        (["--file", "gone.png"], "No such file"),
        (["--data", "{}", "--type", "text/csv"], "allowed: with --file PATH; --data is JSON"),
    ],
)
def test_a_body_that_cannot_be_is_usage(so1s, gateway, arguments, message):
    result = so1s("predict", "fraud", *arguments)
    assert result.code == 2
    assert message in result.err


def test_an_endpoint_that_refuses_ends_with_1_in_its_own_words(so1s, laptop, http):
    http.answers["/predict"] = lambda *_: (422, {}, b'{"error": "input x is missing"}')
    result = so1s("predict", "fraud", "--data", "{}")
    assert result.code == 1
    assert "HTTP 422" in result.err
    assert "input x is missing" in result.err


def test_a_gateway_that_is_away_is_not_reachable(so1s, laptop, monkeypatch):
    monkeypatch.setenv("SO1S_GATEWAY", "http://127.0.0.1:1")
    result = so1s("predict", "fraud", "--data", "{}")
    assert result.code == 3
    assert "SO1S_GATEWAY" in result.err


def test_the_sample_is_the_one_of_the_author(so1s, gateway, laptop, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.onnx").write_bytes(ONNX)
    (out / "sample.json").write_text(ROWS)
    (out / "so1s.yaml").write_text("schema: so1s/v1\nsample: sample.json\n")
    publish_model("fraud", out, version="3", settings=laptop.model_copy(update={"account": "samples"}))
    said = so1s("predict", "fraud", "--sample", "--account", "samples", "-o", "json").json
    assert said["answer"]["got"] == json.loads(ROWS)


def test_the_python_snippet_works(so1s, gateway):
    snippet = so1s("predict", "fraud", "--data", ROWS, "--python").out
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True)
    assert "'got': {'x': [[1.5, 2.5]]}" in done.stdout


def test_the_curl_snippet_works_whatever_the_body_holds(so1s, gateway):
    body = json.dumps({"x": 'it\'s "quoted" $HOME'})
    snippet = so1s("predict", "fraud", "--data", body, "--curl").out
    done = subprocess.run(["bash", "-c", snippet], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["got"] == json.loads(body)


PIXELS = b"\x89PNG\r\n\x00\xff"


@pytest.fixture
def raw_gateway(laptop, http):
    """Answers what it got, and as what."""
    http.answers["/predict"] = lambda headers, body: (
        200,
        {},
        json.dumps({"type": headers["content-type"], "got": body.hex()}).encode(),
    )
    return http


@pytest.mark.parametrize(
    ("arguments", "content_type"),
    [
        (["a.PNG"], "image/png"),
        (["rows.csv"], "text/csv"),
        (["note.txt"], "text/plain"),
        (["model.bin"], "application/octet-stream"),
        (["photo", "--type", "image/jpeg"], "image/jpeg"),
    ],
)
def test_a_file_is_sent_as_it_is_with_its_type(so1s, raw_gateway, tmp_path, arguments, content_type):
    (tmp_path / arguments[0]).write_bytes(PIXELS)
    said = so1s("predict", "fraud", "--file", *arguments, "-o", "json").json["answer"]
    assert said == {"type": content_type, "got": PIXELS.hex()}


@pytest.mark.parametrize("language", ["curl", "python"])
def test_the_snippets_send_a_file_too(so1s, raw_gateway, tmp_path, language):
    (tmp_path / "it's.png").write_bytes(PIXELS)
    snippet = so1s("predict", "fraud", "--file", "it's.png", f"--{language}").out
    command = ["bash", "-c", snippet] if language == "curl" else [sys.executable, "-c", snippet]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert PIXELS.hex() in done.stdout
    assert "image/png" in done.stdout


def test_a_sample_that_is_no_json_is_sent_as_it_is(so1s, gateway, raw_gateway, laptop, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.onnx").write_bytes(ONNX)
    (out / "photo.png").write_bytes(PIXELS)
    (out / "so1s.yaml").write_text("schema: so1s/v1\nsample: photo.png\n")
    publish_model("fraud", out, version="3", settings=laptop.model_copy(update={"account": "photos"}))
    said = so1s("predict", "fraud", "--sample", "--account", "photos", "-o", "json").json["answer"]
    assert said == {"type": "image/png", "got": PIXELS.hex()}


@pytest.fixture
def sampled(laptop, tmp_path):
    """Publishes a model with a sample of that name and content."""

    def publish(name, content):
        out = tmp_path / "sampled"
        out.mkdir()
        (out / "model.onnx").write_bytes(ONNX)
        (out / name).write_bytes(content)
        (out / "so1s.yaml").write_text(f"schema: so1s/v1\nsample: {name}\n")
        account = name.partition(".")[0]
        publish_model("fraud", out, version="3", settings=laptop.model_copy(update={"account": account}))
        return account

    return publish


@pytest.mark.parametrize("language", ["curl", "python"])
def test_the_snippets_send_a_sample_that_is_no_file_here(so1s, gateway, raw_gateway, sampled, language):
    content = b"@a,b\n1,it's\n"
    account = sampled("rows.csv", content)
    snippet = so1s("predict", "fraud", "--sample", "--account", account, f"--{language}").out
    command = ["bash", "-c", snippet] if language == "curl" else [sys.executable, "-c", snippet]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert content.hex() in done.stdout
    assert "text/csv" in done.stdout


def test_a_sample_that_no_shell_can_hold_is_refused_for_curl(so1s, gateway, raw_gateway, sampled):
    account = sampled("pixels.png", PIXELS)
    result = so1s("predict", "fraud", "--sample", "--account", account, "--curl")
    assert (result.code, "a sample of image/png" in result.err) == (2, True)


@pytest.fixture
def paged(gateway):
    """A model whose own page has an example."""
    content = {"application/json": {"example": {"prompt": "hi"}}}
    page = {"paths": {"/predict": {"post": {"requestBody": {"content": content}}}}}
    gateway.answers["/openapi.json"] = lambda *_: (200, {"x-model": "fraud@3"}, json.dumps(page).encode())
    return gateway


def called(gateway):
    """The paths that the gateway was asked for: each is charged."""
    return [path for path, headers, _ in gateway.asked if headers["host"].startswith("fraud--")]


def test_without_the_authors_sample_the_example_of_the_models_page_is_sent(so1s, paged):
    result = so1s("predict", "fraud", "--sample", "--account", "paged", "-o", "json")
    assert result.json["answer"]["got"] == {"prompt": "hi"}
    assert called(paged) == ["/openapi.json", "/predict"]
    assert "/openapi.json is asked for a sample, which counts as a request" in result.err


@pytest.fixture
def away(paged, monkeypatch, tmp_path):
    """Settings that name a gateway and a console alone."""
    (tmp_path / ".so1s/platform.json").unlink()
    here = {"URL": paged.url, "ACCOUNT": "risk", "GATEWAY": paged.url, "DOMAIN": "so1s.localhost"}
    for name, value in here.items():
        monkeypatch.setenv(f"SO1S_{name}", value)
    monkeypatch.delenv("SO1S_TOKEN", raising=False)
    return paged


def expired(*_):
    return 401, {}, b'{"detail": "the token is not valid", "problems": []}'


def broken(*_):
    return 503, {}, b"away"


@pytest.mark.parametrize(("token", "console"), [(None, broken), ("t", expired), ("t", broken)])
def test_whatever_keeps_a_console_from_telling_the_example_of_the_models_page_is_sent(
    so1s, away, monkeypatch, token, console
):
    away.answers["/v1/status"] = console
    if token:
        monkeypatch.setenv("SO1S_TOKEN", token)
    assert so1s("predict", "fraud", "--sample", "-o", "json").json["answer"]["got"] == {"prompt": "hi"}


def test_with_a_token_alone_curl_of_a_sample_is_one_request_which_is_said(so1s, away, monkeypatch):
    monkeypatch.setenv("SO1S_TOKEN", "t")
    result = so1s("predict", "fraud", "--sample", "--curl")
    assert (result.code, called(away)) == (0, ["/openapi.json"])
    assert result.err.count("counts as a request") == 1


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ((200, {"x-model": "fraud@3"}, b"{}"), "the page of fraud@3 has no example"),
        ((503, {"x-model": "fraud@3"}, b"the model is loading"), "HTTP 503: the model is loading"),
        ((404, {}, b"no such host"), "no model answers at"),
    ],
)
def test_where_the_page_has_no_example_nothing_more_is_asked(so1s, gateway, page, message):
    gateway.answers["/openapi.json"] = lambda *_: page
    result = so1s("predict", "fraud", "--sample", "--account", "pageless")
    assert (result.code, called(gateway)) == (1, ["/openapi.json"])
    assert message in result.err
    assert "/openapi.json is asked for a sample, which counts as a request" in result.err


@pytest.fixture
def page_of(away, monkeypatch):
    """Has a token alone, and a model whose page says what it takes, without an example."""
    monkeypatch.setenv("SO1S_TOKEN", "t")

    def make(takes):
        operation = {"post": {"requestBody": {"content": takes}}}
        page = json.dumps({"paths": {"/predict": operation}}).encode()
        away.answers["/openapi.json"] = lambda *_: (200, {"x-model": "fraud@3"}, page)

    return make


NAMED = {"schema": {"properties": {"x": {}, "y": {}}}}


@pytest.mark.parametrize(
    ("takes", "commands"),
    [
        ({"application/json": NAMED}, ["`so1s predict fraud --data @FILE` sends JSON with x, y"]),
        (
            {"application/json": NAMED, "image/png": {}, "image/jpeg": {}, "multipart/form-data": {}},
            [
                "`so1s predict fraud --file FILE` sends image/png or image/jpeg",
                "`so1s predict fraud --data @FILE` sends JSON with x, y",
            ],
        ),
        (
            {"application/octet-stream": {}},
            ["`so1s predict fraud --file FILE --type application/octet-stream` sends application/octet-"],
        ),
        ({}, ["`so1s predict fraud --data @FILE` sends JSON; "]),
    ],
)
def test_where_an_example_is_too_long_for_a_page_the_commands_that_work_are_said(
    so1s, page_of, takes, commands
):
    page_of(takes)
    result = so1s("predict", "fraud", "--sample")
    assert result.code == 1
    assert all(each in result.err for each in commands)
    assert result.err.count("`so1s predict") == len(commands)


def test_the_commands_that_work_name_an_account_that_is_not_the_settings_own(so1s, page_of):
    page_of({"application/json": NAMED})
    assert (
        "`so1s predict fraud --account shop --data @FILE`"
        in so1s("predict", "fraud", "--sample", "--account", "shop").err
    )


@pytest.fixture
def bare(laptop, tmp_path):
    """Publishes a model without a sample, whose image tells what goes in."""

    def publish(account, *inputs):
        (tmp_path / "model.onnx").write_bytes(ONNX)
        settings = laptop.model_copy(update={"account": account})
        publish_model("fraud", tmp_path / "model.onnx", version="3", settings=settings)
        signature = events.Signature(inputs=list(inputs), outputs=[])
        image = played.built("fraud").model_copy(update={"account": account, "signature": signature})
        with Publisher(settings) as publisher:
            publisher.publish(image)
        return account

    return publish


X = events.Tensor(name="x", dtype="float32", shape=[-1, 2])


@pytest.mark.parametrize(("more", "paths"), [((), ["/predict"]), (("--curl",), []), (("--python",), [])])
def test_a_sample_costs_no_request_of_its_own_where_the_upload_is_here(so1s, gateway, bare, more, paths):
    account = bare(f"free{len(more)}{''.join(more).strip('-')}", X)
    result = so1s("predict", "fraud", "--sample", "--account", account, *more)
    assert (result.code, result.err, called(gateway)) == (0, "", paths)


def test_the_blank_row_is_one_that_the_image_takes(so1s, gateway, bare):
    inputs = [
        X,
        events.Tensor(name="flags", dtype="bool", shape=[2]),
        events.Tensor(name="prompt", type="text", dtype="string", shape=[]),
        events.Tensor(name="notes", type="text", dtype="string", shape=[-1]),
        events.Tensor(name="prices", type="series", dtype="float64", shape=[]),
        events.Tensor(
            name="rows",
            type="dataframe",
            dtype="string",
            shape=[],
            columns=[{"name": "a", "dtype": "int64"}, {"name": "b", "dtype": "string"}],
        ),
    ]
    account = bare("blank", *inputs)
    body = so1s("predict", "fraud", "--sample", "--account", account, "-o", "json").json["answer"]["got"]
    declared = [each.model_dump(exclude_defaults=True) for each in inputs]
    for each in declared:
        if each.get("type") in {"dataframe", "series", "text"}:
            each.pop("shape") if each["shape"] == [] else None
        if each.get("type") == "dataframe":
            each.pop("dtype")
    outputs = [{"name": "y", "dtype": "float32", "shape": [-1]}]
    described = ModelFile.model_validate({"schema": "so1s/v1", "inputs": declared, "outputs": outputs})
    check(described, "sample.json", json.dumps(body).encode())


def test_what_has_no_blank_is_asked_of_the_model(so1s, paged, bare):
    account = bare("picture", X, events.Tensor(name="p", type="file", dtype="string", shape=[]))
    so1s("predict", "fraud", "--sample", "--account", account)
    assert called(paged) == ["/openapi.json", "/predict"]


def test_a_sample_of_an_endpoint_that_is_not_there_names_those_that_are(so1s, gateway):
    result = so1s("predict", "nope", "--sample")
    assert (result.code, called(gateway)) == (2, [])
    assert "endpoint: 'nope' is not allowed; allowed: an endpoint of risk: fraud" in result.err


def test_the_sample_is_found_although_the_router_is_away(so1s, paged, monkeypatch):
    monkeypatch.setenv("SO1S_ROUTER_URL", "http://127.0.0.1:1")
    assert so1s("predict", "fraud", "--sample", "-o", "json").json["answer"]["got"] == {"prompt": "hi"}


def test_the_sample_is_found_although_the_router_fails(so1s, paged):
    paged.answers["/v1/endpoints"] = lambda *_: (500, {}, b"{}")
    assert so1s("predict", "fraud", "--sample", "-o", "json").json["answer"]["got"] == {"prompt": "hi"}


def test_the_sample_is_found_although_kafka_is_away(so1s, away, monkeypatch):
    monkeypatch.delenv("SO1S_URL")
    monkeypatch.setenv("SO1S_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("SO1S_ROUTER_URL", away.url)
    said = so1s("predict", "fraud", "--sample", "-o", "json").json
    assert said["answer"]["got"] == {"prompt": "hi"}


def test_a_prediction_is_one_request_to_the_gateway(so1s, gateway):
    so1s("predict", "fraud", "--data", ROWS)
    assert [path for path, _, _ in gateway.asked] == ["/predict"]
