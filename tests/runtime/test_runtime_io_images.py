"""Images: pixels in, pixels out, and what is no image."""

import base64
import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from so1s_runtime.declared import DeclaredSignature, declared_list
from so1s_runtime.errors import ModelError, RequestError
from so1s_runtime.iotypes import bodies
from so1s_runtime.iotypes.types import types_of

PHOTO = {"name": "photo", "type": "image"}
PHOTOS = {"name": "photo", "type": "image", "shape": [-1, 2, 3, 3]}
ANY = {"name": "photo", "type": "image", "shape": [-1, -1, -1]}
OUT = {"name": "drawn", "type": "image", "shape": [-1, -1, -1]}

sizes = st.integers(1, 5)
pixels = st.sampled_from([1, 3, 4]).flatmap(
    lambda channels: hnp.arrays(np.uint8, st.tuples(sizes, sizes, st.just(channels)))
)


def types(declared, *outputs):
    return types_of(
        DeclaredSignature(declared_list([declared]), declared_list([*outputs]) if outputs else ())
    )


def read(declared, body, media="image/png"):
    made = types(declared)
    return made.inputs[0].to_model(bodies.decode(made, media, body))


def png(array, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(np.squeeze(array, -1) if array.shape[-1] == 1 else array).save(buffer, form, **options)
    return buffer.getvalue()


def bomb(width, height):
    """A small PNG that says it has so many pixels, all of one colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@settings(max_examples=25)
@given(pixels)
def test_pixels_arrive_as_they_were_drawn_and_come_back(array):
    np.testing.assert_array_equal(read(ANY, png(array)), array)
    body = orjson.dumps({"photo": base64.b64encode(png(array)).decode()})
    np.testing.assert_array_equal(read(ANY, body, ""), array)
    codec = types(PHOTO, OUT).outputs[0]
    answer = codec.write_raw(codec.from_model(array))
    np.testing.assert_array_equal(read(ANY, answer), array)


@settings(max_examples=25)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(2), st.just(3), st.just(3))))
def test_several_images_are_one_array(array):
    body = orjson.dumps([base64.b64encode(png(each)).decode() for each in array])
    np.testing.assert_array_equal(read(PHOTOS, body, ""), array)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "1"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_format_and_mode_becomes_the_declared_channels(form, mode, channels):
    buffer = io.BytesIO()
    try:
        Image.new(mode, (4, 2)).save(buffer, form)
    except (OSError, ValueError):
        return  # not every format has every mode
    found = read(PHOTO | {"shape": [2, 4, channels]}, buffer.getvalue(), f"image/{form.lower()}")
    assert (found.shape, found.dtype) == ((2, 4, channels), np.uint8)


RED = np.full((2, 3, 3), (255, 0, 0), np.uint8)


@pytest.mark.parametrize(
    ("declared", "body", "status", "message"),
    [
        (PHOTO, b"", 400, "is no image of image/png, image/jpeg"),
        (PHOTO, b"GIF87a", 400, "is no image|is a broken image"),
        (PHOTO, b"%PDF-1.4", 400, "is no image"),
        (PHOTO, png(RED)[:-30], 400, "is a broken image"),
        (PHOTO, png(RED)[:40] + b"\0" * 30, 400, "is a broken image|is no image"),
        (PHOTO, bomb(60_000, 60_000), 413, "pixels, at most 50000000 are taken"),
        (PHOTO, bomb(8_000, 8_000), 413, "has 8000 x 8000 pixels"),
        (PHOTO | {"shape": [2, 4, 3]}, png(RED), 400, r"has height and width \[2, 3\], expected \[2, 4\]"),
        (PHOTO | {"shape": [10, 10, 3]}, bomb(7_000, 7_000), 400, r"expected \[10, 10\]"),
        (PHOTO | {"max_bytes": 10}, png(RED), 413, "bytes, at most 10 are taken"),
    ],
    ids=["empty", "head", "pdf", "cut", "zeros", "bomb", "large", "size", "bomb of a wrong size", "bytes"],
)
def test_what_is_no_such_image_is_refused_before_it_is_unpacked(declared, body, status, message):
    with pytest.raises(RequestError, match=message) as caught:
        read(declared, body)
    assert caught.value.status == status
    assert caught.value.body["field"] == "photo"


FIVE_TIMES_12_MILLION = [base64.b64encode(bomb(4_000, 3_000))] * 5


def test_images_of_too_many_pixels_in_all_are_refused_before_one_is_unpacked():
    body = orjson.dumps([each.decode() for each in FIVE_TIMES_12_MILLION])
    with pytest.raises(RequestError, match=r"at \[4\] has 60000000 pixels with the images") as caught:
        read(PHOTOS | {"shape": [-1, -1, -1, 3]}, body, "")
    assert (caught.value.status, caught.value.body["position"]) == (413, [4])


def test_images_of_several_inputs_share_the_limit():
    names = ("a", "b", "c", "d", "e")
    made = types_of(DeclaredSignature(declared_list([PHOTO | {"name": name} for name in names]), ()))
    body = orjson.dumps(dict(zip(names, (each.decode() for each in FIVE_TIMES_12_MILLION), strict=True)))
    with pytest.raises(RequestError, match="input 'e' has 60000000 pixels") as caught:
        made.around(lambda *_: [], pandas=False)(bodies.decode(made, "", body), [])
    assert caught.value.status == 413


def test_images_of_different_sizes_are_refused_with_their_place():
    body = orjson.dumps([base64.b64encode(png(RED[:rows])).decode() for rows in (2, 1)])
    with pytest.raises(
        RequestError, match=r"at \[1\] has the shape \[1, 3, 3\], the first one has \[2, 3, 3\]"
    ):
        read(PHOTOS | {"shape": [-1, -1, -1, 3]}, body, "")


@given(
    st.binary(max_size=80), st.sampled_from([png(RED), png(RED, "GIF"), png(RED, "TIFF"), png(RED, "BMP")])
)
def test_no_bytes_break_the_codec(raw, begun):
    for body in (raw, begun[:20] + raw, begun[:-10] + raw):
        with suppress(RequestError):
            read(PHOTO, body)


@pytest.mark.parametrize(
    "answer",
    [RED.astype(float), RED[:, :, :2], RED[0, 0], "red", None],
    ids=["floats", "channels", "rank", "text", "nothing"],
)
def test_an_answer_that_is_no_image_is_the_models_error(answer):
    with pytest.raises(ModelError, match="output 'drawn' is"):
        types(PHOTO, OUT).outputs[0].from_model(answer)


async def test_an_image_goes_through_every_door(app_around, client_of):
    app = app_around(lambda photo: [255 - photo], [PHOTO], [OUT])
    async with client_of(app) as client:
        headers = {"content-type": "image/png", "accept": "image/png"}
        answer = await client.post("/predict", content=png(RED), headers=headers)
        assert answer.headers["content-type"] == "image/png"
        np.testing.assert_array_equal(read(ANY, answer.content), 255 - RED)
        files = {"photo": ("red.png", png(RED))}
        assert (
            await client.post("/predict", files=files, headers={"accept": "image/*"})
        ).content == answer.content
        drawn = base64.b64encode(answer.content).decode()
        assert (await client.post("/predict", files=files)).json() == {"drawn": drawn}
        tensor = {"name": "photo", "datatype": "BYTES", "shape": [1]}
        body = {"inputs": [tensor | {"data": [base64.b64encode(png(RED)).decode()]}]}
        said = (await client.post("/v2/models/iris/infer", json=body)).json()["outputs"]
        assert said == [tensor | {"name": "drawn", "data": [drawn]}]
        content = (await client.get("/openapi.json")).json()["paths"]["/predict"]["post"]["requestBody"][
            "content"
        ]
        assert {"image/png", "image/jpeg", "application/json"} <= set(content)
