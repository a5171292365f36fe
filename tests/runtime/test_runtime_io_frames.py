"""Dataframes and series: rows with named columns, in each form that a caller may send."""

import csv
import io
import json
import math
from contextlib import suppress

import httpx
import jsonschema
import numpy as np
import orjson
import pandas as pd
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from so1s_runtime.declared import DeclaredSignature, declared_list
from so1s_runtime.errors import ModelError, RequestError
from so1s_runtime.iotypes import bodies
from so1s_runtime.iotypes.types import types_of

COLUMNS = [
    {"name": "amount", "dtype": "float64", "nullable": True},
    {"name": "count", "dtype": "int64"},
    {"name": "country", "dtype": "string", "nullable": True},
    {"name": "known", "dtype": "bool"},
]
ROWS = {"name": "rows", "type": "dataframe", "columns": COLUMNS}
SERIES = {"name": "prices", "type": "series", "dtype": "float32"}
SUMS = {"name": "sums", "dtype": "float64", "shape": [-1]}
ROW = {"amount": 1.5, "count": 2, "country": "NO", "known": True}

finite = st.floats(allow_nan=False, allow_infinity=False)
a_row = st.fixed_dictionaries(
    {
        "amount": st.none() | finite,
        "count": st.integers(-(2**63), 2**63 - 1),
        # A missing word and an empty one are the same in CSV, so that an empty one is sent by JSON alone.
        "country": st.none() | st.text(st.characters(codec="utf-8"), min_size=1),
        "known": st.booleans(),
    }
).map(lambda row: {name: row[name] for name in ROW})
some_rows = st.lists(a_row, min_size=1, max_size=4)


def codec_of(declared):
    signature = DeclaredSignature(declared_list([declared]), declared_list([declared | {"name": "out"}]))
    return types_of(signature).inputs[0]


def read(declared, body, media="application/json"):
    return bodies.decode(types_of(DeclaredSignature(declared_list([declared]), ())), media, body)


def as_rows(arrays):
    return codec_of(ROWS).write([arrays[column["name"]] for column in COLUMNS])


def said(rows):
    """As a caller has them: what is missing is None."""
    return [
        {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in row.items()}
        for row in rows
    ]


def as_csv(rows):
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(rows[0])
    lines.writerows([["" if value is None else value for value in row.values()] for row in rows])
    return text.getvalue().encode()


@given(some_rows)
def test_rows_arrive_as_they_were_sent_in_each_form(rows):
    columns = {name: [row[name] for row in rows] for name in ROW}
    split = {"columns": list(ROW), "data": [list(row.values()) for row in rows]}
    by_index = {name: {str(i): value for i, value in enumerate(values)} for name, values in columns.items()}
    for form in (rows, columns, split, by_index, {"rows": rows}, {"rows": columns}):
        assert said(as_rows(read(ROWS, orjson.dumps(form)))) == rows


@given(some_rows)
def test_rows_survive_csv_whatever_is_in_them(rows):
    arrays = read(ROWS, as_csv(rows), "text/csv")
    assert said(as_rows(arrays)) == rows
    written = codec_of(ROWS).write_raw([arrays[column["name"]] for column in COLUMNS])
    assert said(as_rows(read(ROWS, written, "text/csv"))) == rows


@given(some_rows)
def test_a_dataframe_answers_as_it_was_asked(rows):
    codec = codec_of(ROWS)
    frame = codec.to_pandas(read(ROWS, orjson.dumps(rows)))
    assert list(frame.columns) == list(ROW)
    assert said(codec.write(codec.from_model(frame))) == rows
    assert said(codec.write(codec.from_model({name: frame[name] for name in ROW}))) == rows


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_a_series_arrives_as_it_was_sent(values):
    codec = codec_of(SERIES)
    arrays = read(SERIES, orjson.dumps(values))
    np.testing.assert_array_equal(arrays["prices"], np.array(values, np.float32))
    written = codec.write_raw([arrays["prices"]])
    np.testing.assert_array_equal(read(SERIES, written, "text/csv")["prices"], arrays["prices"])
    assert codec.to_pandas(arrays).name == "prices"
    assert codec.write(codec.from_model(codec.to_pandas(arrays))).tolist() == values


@given(st.binary(max_size=60) | st.text('a,"\n1.\r', max_size=30).map(str.encode))
def test_no_csv_breaks_the_codec(raw):
    for declared in (ROWS, SERIES):
        with suppress(RequestError):
            read(declared, raw, "text/csv")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.sampled_from(["x", "amount"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ROW, "columns", "data", "rows"]), inner, max_size=5)
    ),
)


@given(json_values | st.lists(a_row | json_values, max_size=3))
def test_no_json_breaks_the_codec(value):
    for declared in (ROWS, SERIES):
        with suppress(RequestError):
            read(declared, json.dumps(value).encode())


HEADER = b"amount,count,country,known\n"


@pytest.mark.parametrize(
    ("body", "message", "position", "expected"),
    [
        ([ROW, ROW | {"count": "2"}], "has a string where an integer belongs", [1, "count"], "int64"),
        ([ROW | {"count": 2**63}], "has 9223372036854775808, out of range", [0, "count"], "int64"),
        ([ROW | {"known": None}], "has null where true or false belongs", [0, "known"], "bool"),
        ([ROW, {"amount": 1}], "lacks the column 'count'", [1], None),
        ([ROW | {"Amount": 1}], "has an unknown column 'Amount'", [0], None),
        ([7], "has the number 7 where an object belongs", [0], None),
        ([], "has no rows", None, None),
        (7, "has the number 7 where rows belong", None, None),
        ({"amount": [1]}, "lacks the column 'count'", None, None),
        (dict.fromkeys(ROW, 7), "where the values of column 'amount' belong", None, None),
        (
            {"amount": [1], "count": [1, 2], "country": ["a"], "known": [True]},
            "has 2 values, the first one has 1",
            ["count"],
            "int64[-1]",
        ),
        ({"columns": list(ROW), "data": [[1, 2]]}, "has 2 values, expected 4", [0], None),
        ({"columns": [*ROW, "amount"], "data": []}, "has a column twice", None, None),
        ({"columns": 7, "data": []}, 'must have a list of names as "columns"', None, None),
    ],
    ids=str,
)
def test_wrong_rows_are_refused_with_their_place(body, message, position, expected):
    with pytest.raises(RequestError, match=message.replace("[", r"\[")) as caught:
        read(ROWS, json.dumps(body).encode())
    assert caught.value.body["field"] == "rows"
    assert caught.value.body.get("position") == position
    assert expected in {None, caught.value.body["expected"]}


@pytest.mark.parametrize(
    ("raw", "message", "position"),
    [
        (b"", "is no CSV: there is no line", None),
        (b"\xff\xfe", "is no CSV", None),
        (HEADER, "has no rows", None),
        (b"amount,count\n1,2\n", "lacks the column 'country'", None),
        (HEADER.replace(b"known", b"amount,known"), "has a column twice", None),
        (HEADER + b"1,2,NO\n", "has 3 values, expected 4", [0]),
        (HEADER + b"1,2,NO,true\n1,2,NO,true,5\n", "has 5 values, expected 4", [1]),
        (HEADER + b'1,2,"NO,true\n', "is no CSV: line 2", None),
        (HEADER + b"1,2,NO,true\n1,2.5,NO,true\n", "has '2.5' where an integer belongs", [1, "count"]),
        (HEADER + b"1,1_000,NO,true\n", "has '1_000' where an integer belongs", [0, "count"]),
        (HEADER + b"1,,NO,true\n", "has '' where an integer belongs", [0, "count"]),
        (HEADER + b"inf,1,NO,true\n", "has 'inf' where a number belongs", [0, "amount"]),
        (HEADER + b"1e999,1,NO,true\n", "has '1e999' where a number belongs", [0, "amount"]),
        (HEADER + b"1,1,NO,yes\n", "has 'yes' where true or false belongs", [0, "known"]),
    ],
    ids=str,
)
def test_wrong_csv_is_refused_with_its_place(raw, message, position):
    with pytest.raises(RequestError, match=message) as caught:
        read(ROWS, raw, "text/csv")
    assert caught.value.body.get("position") == position


def test_a_number_that_is_missing_is_refused_where_none_may_be():
    strict = {"name": "rows", "type": "dataframe", "columns": [{"name": "amount", "dtype": "float64"}]}
    for body, media in ((b'[{"amount": null}]', ""), (b"amount\nnan\n", "text/csv")):
        with pytest.raises(RequestError, match=r"at \[0, 'amount'\] has"):
            read(strict, body, media)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"amount": [1.0]}, "lacks the column 'count'"),
        (np.zeros((2, 3)), "output 'out' is ndarray"),
        ({"amount": [1.0, 2.0], "count": [1], "country": ["a"], "known": [True]}, "different lengths"),
        ({"amount": [1.0], "count": ["a"], "country": ["a"], "known": [True]}, "output 'count' is"),
        ({"amount": [1.0], "count": [1], "country": [7], "known": [True]}, "is .*7.*, no string"),
    ],
    ids=["lacks", "matrix", "lengths", "dtype", "string"],
)
def test_an_answer_that_is_no_such_dataframe_is_the_models_error(answer, message):
    codec = types_of(DeclaredSignature((), declared_list([ROWS | {"name": "out"}]))).outputs[0]
    with pytest.raises(ModelError, match=message):
        codec.from_model(answer)


def _sums(rows):
    return [rows["amount"].to_numpy() + rows["count"].to_numpy()]


async def test_code_gets_a_dataframe_and_the_protocol_has_a_tensor_a_column(app_around, client_of):
    async with client_of(app_around(_sums, [ROWS], [SUMS])) as client:
        assert (await client.post("/predict", json=[ROW])).json() == {"sums": [3.5]}
        metadata = (await client.get("/v2/models/iris")).json()
        assert [(each["name"], each["datatype"]) for each in metadata["inputs"]] == [
            ("amount", "FP64"),
            ("count", "INT64"),
            ("country", "BYTES"),
            ("known", "BOOL"),
        ]
        inputs = [each | {"shape": [1], "data": [ROW[each["name"]]]} for each in metadata["inputs"]]
        answer = await client.post("/v2/models/iris/infer", json={"inputs": inputs})
        assert answer.json()["outputs"][0]["data"] == [3.5]
        inputs[0]["data"] = [None]
        assert (await client.post("/v2/models/iris/infer", json={"inputs": inputs})).json()["outputs"][0][
            "data"
        ] == [None]


async def test_the_page_has_a_schema_that_refuses_what_the_server_refuses(app_around, client_of):
    async with client_of(app_around(_sums, [ROWS], [SUMS])) as client:
        page = (await client.get("/openapi.json")).json()
        content = page["paths"]["/predict"]["post"]["requestBody"]["content"]
        assert set(content) == {"application/json", "text/csv", "multipart/form-data"}
        jsonschema.validate({"rows": [ROW, ROW | {"amount": None}]}, content["application/json"]["schema"])
        for wrong in ({}, ROW | {"count": "2"}, ROW | {"more": 1}):
            assert (await client.post("/predict", json={"rows": [wrong]})).status_code == 400
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({"rows": [wrong]}, content["application/json"]["schema"])


def _model_json(directory, model_format, file, inputs, outputs):
    fields = {"schema": "so1s-model/v1", "name": "iris", "version": "3", "format": model_format, "file": file}
    (directory / "model.json").write_text(json.dumps(fields | {"inputs": inputs, "outputs": outputs}))


@pytest.fixture(scope="module")
def by_name() -> tuple:
    """A pipeline that picks its columns by name, and what it was trained on."""
    rows = pd.DataFrame({"amount": [1.0, 9.0, 2.0, 8.0], "country": ["NO", "SE", "NO", "SE"]})
    columns = make_column_transformer((StandardScaler(), ["amount"]), (OneHotEncoder(), ["country"]))
    return make_pipeline(columns, LogisticRegression()).fit(rows, [0, 1, 0, 1]), rows


async def test_a_pipeline_that_picks_columns_by_name_takes_named_rows(
    tmp_path, by_name, loaded_app, client_of
):
    estimator, rows = by_name
    skops.io.dump(estimator, tmp_path / "model.skops")
    columns = [{"name": "amount", "dtype": "float64"}, {"name": "country", "dtype": "string"}]
    outputs = [
        {"name": "label", "dtype": "int64", "shape": [-1]},
        {
            "name": "probabilities",
            "type": "dataframe",
            "columns": [{"name": "good", "dtype": "float64"}, {"name": "bad", "dtype": "float64"}],
        },
    ]
    inputs = [{"name": "rows", "type": "dataframe", "columns": columns}]
    (tmp_path / "sample.csv").write_text("country,amount\nNO,1\n")
    _model_json(tmp_path, "skops", "model.skops", inputs, outputs)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sample": "sample.csv"}))
    async with client_of(loaded_app(tmp_path)) as client:
        body = rows.to_csv(index=False)
        answer = (await client.post("/predict", content=body, headers={"content-type": "text/csv"})).json()
        assert answer == (await client.post("/predict", content=rows.to_json(orient="split"))).json()
        page = (await client.get("/openapi.json")).json()
    assert answer["label"] == estimator.predict(rows).tolist()
    expected = estimator.predict_proba(rows)
    assert [[row["good"], row["bad"]] for row in answer["probabilities"]] == expected.tolist()
    content = page["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert content["example"] == {"rows": [{"amount": 1.0, "country": "NO"}]}


async def test_a_model_of_arrays_takes_named_columns_in_the_declared_order(
    onnx_model, tmp_path, loaded_app, client_of, rows
):
    (tmp_path / "model.onnx").write_bytes((onnx_model.directory / "model.onnx").read_bytes())
    outputs = json.loads((onnx_model.directory / "model.json").read_text())["outputs"]
    columns = [{"name": name, "dtype": "float32"} for name in "abcd"]
    inputs = [{"name": "X", "type": "dataframe", "columns": columns}]
    _model_json(tmp_path, "onnx", "model.onnx", inputs, outputs)
    async with client_of(loaded_app(tmp_path)) as client:
        body = [dict(zip("dcba", row[::-1].tolist(), strict=True)) for row in rows]
        answer = (await client.post("/predict", json=body)).json()
    assert answer["label"] == onnx_model.estimator.predict(rows).tolist()


def test_strings_beside_numbers_are_refused_where_a_model_takes_one_array(onnx_model, tmp_path, loaded_app):
    (tmp_path / "model.onnx").write_bytes((onnx_model.directory / "model.onnx").read_bytes())
    _model_json(tmp_path, "onnx", "model.onnx", [ROWS], [SUMS])
    with pytest.raises(ModelError, match="'rows' has strings beside numbers, but the model takes it as one"):
        loaded_app(tmp_path)


async def test_an_answer_comes_as_csv_where_the_caller_accepts_it(app_around, client_of):
    app = app_around(lambda prices: [prices * 2], [SERIES], [SERIES | {"name": "doubled"}])
    async with client_of(app) as client:
        assert isinstance(client, httpx.AsyncClient)
        answer = await client.post("/predict", json=[1, 2], headers={"accept": "text/csv"})
    assert (answer.headers["content-type"], answer.text) == ("text/csv", "doubled\r\n2.0\r\n4.0\r\n")
