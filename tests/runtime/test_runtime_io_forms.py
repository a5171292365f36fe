"""Forms: several inputs by name, each part by its content type."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1s_runtime.declared import DeclaredSignature, declared_list
from so1s_runtime.errors import RequestError
from so1s_runtime.iotypes import bodies
from so1s_runtime.iotypes.types import types_of

PROMPT = {"name": "prompt", "type": "text"}
DOCUMENT = {"name": "document", "type": "file"}
DOCUMENTS = {"name": "documents", "type": "file", "shape": [-1]}
QUERY = {"name": "query", "type": "json"}
X = {"name": "x", "dtype": "float32", "shape": [-1, 2]}
ROWS = {"name": "rows", "type": "dataframe", "columns": [{"name": "a", "dtype": "int64"}]}
ALL = [PROMPT, DOCUMENT, QUERY, X, ROWS]
SAID = [{"name": "said", "type": "json"}]
FORM = "multipart/form-data; boundary=Aa"


@pytest.fixture
async def client(app_around, client_of):
    def run(prompt, document, query, x, rows):
        said = {"prompt": prompt, "document": document.hex(), "query": query, "x": x.tolist()}
        return [said | {"rows": rows["a"].tolist()}]

    async with client_of(app_around(run, ALL, SAID)) as client:
        yield client


def read(declared, body, content_type=FORM):
    made = types_of(DeclaredSignature(declared_list(declared), ()))
    arrays = bodies.decode(made, content_type, body)
    return {codec.declared.name: codec.to_model(arrays) for codec in made.inputs}


def part(name, raw, *headers, disposition="form-data"):
    head = "\r\n".join([f'Content-Disposition: {disposition}; name="{name}"', *headers])
    return b"--Aa\r\n" + head.encode() + b"\r\n\r\n" + raw + b"\r\n"


def whole(*parts):
    return b"".join(parts) + b"--Aa--\r\n"


SENT = {"prompt": "hé\r\n", "document": "ff00", "query": {"a": 1}, "x": [[1, 2], [3, 4]], "rows": [7, 8]}


async def test_what_says_no_content_type_is_read_as_its_name_or_its_type_tells(client):
    files = {
        "prompt": (None, "hé\r\n"),
        "document": (None, b"\xff\x00"),
        "query": (None, '{"a": 1}'),
        "x": ("x.json", "[[1, 2], [3, 4]]", "application/octet-stream"),
        "rows": ("r.csv", "a\n7\n8\n", "application/octet-stream"),
    }
    assert (await client.post("/predict", files=files)).json() == {"said": SENT}
    files["rows"] = (None, '[{"a": 7}, {"a": 8}]')
    assert (await client.post("/predict", files=files)).json() == {"said": SENT}


async def test_a_model_of_plain_tensors_takes_a_form(skops_model, loaded_app, client_of, rows):
    async with client_of(loaded_app(skops_model.directory)) as client:
        files = {"x": (None, json.dumps(rows[:2].tolist()))}
        answer = await client.post("/predict", files=files)
        assert answer.json() == (await client.post("/predict", json=rows[:2].tolist())).json()


def test_parts_of_one_name_are_rows():
    body = whole(part("documents", b"a"), part("documents", b"b"))
    assert read([DOCUMENTS], body)["documents"].tolist() == [b"a", b"b"]
    body = whole(part("x", b"[[1, 2]]"), part("x", b"[[3, 4], [5, 6]]"))
    np.testing.assert_array_equal(read([X], body)["x"], [[1, 2], [3, 4], [5, 6]])


@given(st.binary(), st.text(st.characters(codec="utf-8")))
def test_bytes_and_texts_survive_a_form(raw, text):
    if b"\r\n--Aa" in raw or "\r\n--Aa" in text:
        return
    body = whole(part("document", raw), part("prompt", text.encode()))
    assert read([DOCUMENT, PROMPT], body) == {"document": raw, "prompt": text}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "the form ends within a part"),
        (b"--Aa", 400, "the form ends within a part"),
        (part("prompt", b"a"), 400, "the form ends within a part"),
        (whole(part("prompt", b"a"))[:-6], 400, "the form ends within a part"),
        (b"--Bb\r\n", 400, "the form is broken"),
        (b"--Aa\r\nno header\r\n\r\n", 400, "the form is broken"),
        (b"--Aa\r\n" + b"A: b\r\n" * 100, 400, "the form is broken"),
        (b"--Aa\r\nA: " + b"b" * 10_000, 400, "the form is broken"),
        (whole(part("prompt", b"a", disposition="attachment")), 400, "part 1 of the form has no name"),
        (whole(part("prompt", b"a"), part("promise", b"a")), 400, "unknown input 'promise'"),
        (whole(part("other", b"a")), 400, "unknown input 'other'"),
        (whole(part("prompt", b"a"), part("prompt", b"b")), 400, "input 'prompt' is there more than once"),
        (whole(part("prompt", b"\xff")), 400, r"input 'prompt' at \[0\] is not UTF-8"),
        (
            whole(part("prompt", b"a", "Content-Type: image/png")),
            415,
            "part 'prompt' of the form is image/png; allowed: application/json, text/plain",
        ),
        (whole(*[part("prompt", b"a")] * 300), 413, "more than 256 parts"),
    ],
    ids=[
        *("empty", "boundary", "no end", "cut", "other boundary", "no header", "many headers", "long header"),
        *("attachment", "unknown beside", "unknown", "twice", "not UTF-8", "content type", "many parts"),
    ],
)
def test_a_hostile_or_wrong_form_is_refused_with_a_reason(body, status, message):
    with pytest.raises(RequestError, match=message) as caught:
        read([PROMPT], body)
    assert caught.value.status == status


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_without_boundary_is_refused(content_type):
    with pytest.raises(RequestError, match="needs a boundary"):
        read([PROMPT], b"", content_type)


@given(st.binary(max_size=80) | st.text('-Aa\r\n:"; =', max_size=60).map(str.encode), st.booleans())
def test_no_form_breaks_the_parser(raw, begun):
    body = b'--Aa\r\nContent-Disposition: form-data; name="prompt"' + raw if begun else raw
    with suppress(RequestError):
        read([PROMPT], body)
    with suppress(RequestError):
        read([PROMPT], b"", "multipart/form-data; boundary=" + raw.decode("latin-1"))
