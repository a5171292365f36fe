"""How large a request may be: as much as the model's inputs declare, and the usual where they do not."""

import pytest

from so1s_runtime.declared import declared_list
from so1s_runtime.room import Room, room_of

MIB = 2**20
USUAL = Room(16 * MIB, 10.0)
AROUND = 64 * 1024
FILE = {"name": "document", "type": "file"}
PHOTO = {"name": "photo", "type": "image"}
X = {"name": "x", "dtype": "float32", "shape": [-1, 2]}


@pytest.mark.parametrize(
    ("inputs", "body_bytes"),
    [
        ([X], 16 * MIB),
        ([FILE], 16 * MIB),
        ([FILE | {"max_bytes": 1000}], 16 * MIB),
        ([FILE | {"max_bytes": 30 * MIB}], 40 * MIB + AROUND),
        ([PHOTO | {"max_bytes": 30 * MIB}], 40 * MIB + AROUND),
        ([{"name": "prompt", "type": "text", "max_bytes": 30 * MIB}], 90 * MIB + AROUND),
        ([{"name": "query", "type": "json", "max_bytes": 30 * MIB}], 90 * MIB + AROUND),
        ([FILE | {"max_bytes": 30 * MIB}, PHOTO | {"max_bytes": 3 * MIB}], 44 * MIB + AROUND),
        ([FILE | {"max_bytes": 30 * MIB}, X], 56 * MIB),
        ([FILE | {"max_bytes": 30 * MIB, "shape": [2]}], 80 * MIB + AROUND),
        ([FILE | {"max_bytes": 30 * MIB, "shape": [-1]}], 56 * MIB),
        ([PHOTO | {"max_bytes": 30 * MIB, "shape": [2, -1, -1, 3]}], 80 * MIB + AROUND),
        ([FILE | {"max_bytes": 2**31}], 2**31 - 1),
    ],
    ids=lambda value: ", ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_a_body_has_room_for_all_that_the_inputs_declare(inputs, body_bytes):
    assert room_of(declared_list(inputs), USUAL).body_bytes == body_bytes


def test_a_larger_body_has_more_time_in_proportion():
    assert room_of(declared_list([X]), USUAL).body_seconds == 10
    assert room_of(declared_list([FILE | {"max_bytes": 30 * MIB}, X]), USUAL).body_seconds == 35


DECLARED = FILE | {"max_bytes": 300}


async def test_a_file_is_taken_that_is_declared_larger_than_a_body_usually_is(app_around, client_of):
    app = app_around(lambda document: [document], [DECLARED], [FILE | {"name": "copy"}], max_body_bytes=100)
    body = {"headers": {"content-type": "application/octet-stream"}}
    async with client_of(app) as client:
        assert (await client.post("/predict", content=bytes(300), **body)).status_code == 200
        refused = await client.post("/predict", content=bytes(301), **body)
    assert (refused.status_code, refused.json()["field"]) == (413, "document")
