"""Images: what Pillow reads, as pixels of 8 bits, height by width by channels."""

import io
import struct
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from so1s_runtime.declared import Declared
from so1s_runtime.iotypes.codec import Tensors
from so1s_runtime.iotypes.values import File

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# Format of Pillow, by content type; the first one is written.
_FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}

# What a model may see for one request, in all its pictures: 7000 by 7000 pixels are 150 MB, however small
# their file.
_MOST_PIXELS = 50_000_000

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_GREY = ("1", "L", "I", "F", "I;16")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")

# height, width, channels
_RANK = 3


class Image(File):
    """An array of uint8; to the protocol the bytes of a file."""

    media: ClassVar[tuple[str, ...]] = tuple(_FORMATS)
    field = "image/png"

    def __init__(self, declared: Declared) -> None:
        super().__init__(declared)
        # What is odd in a file would be told on stderr, as often as a caller likes.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    def to_model(self, arrays: Tensors) -> Any:
        """The pixels of one image, or of several of the same size."""
        if self._is_list:
            check_pixels([self], arrays)
        items = [self._taken(each, self._position(index)) for index, each in enumerate(self._items(arrays))]
        if not self._is_list:
            return items[0]
        for index, item in enumerate(items):
            if item.shape != items[0].shape:
                what = f"has the shape {list(item.shape)}, the first one has {list(items[0].shape)}"
                raise self.misfit(what, [index])
        return np.stack(items)

    def blank(self) -> Tensors | None:
        """A black image, where its size is declared."""
        if -1 in self.declared.shape[-_RANK:]:
            return None
        black = np.zeros(self.declared.shape[-_RANK:], np.uint8)
        count = self.declared.shape[0] if self._is_list else 1
        return self._tensor([_written(black)] * max(count, 1))

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.declared.shape[:-_RANK]

    def count_pixels(self, arrays: Tensors, before: int) -> int:
        """How many there are, with those `before`, as the files' heads say. Raises RequestError (413)."""
        total = before
        for index, item in enumerate(self._items(arrays)):
            position = self._position(index)
            with self._opened(item, position) as picture:
                self._check(picture, position)
                total += picture.height * picture.width
            if total > _MOST_PIXELS:
                what = f"has {total} pixels with the images before it, at most {_MOST_PIXELS} are taken"
                raise self.misfit(what, position, status=413)
        return total

    def _taken(self, item: Any, position: Sequence[int]) -> np.ndarray:
        with self._opened(item, position) as picture:
            self._check(picture, position)
            return self._pixels(picture)

    @contextmanager
    def _opened(self, item: Any, position: Sequence[int]) -> "Generator[Picture, None, None]":
        """A picture, of which only the head is read; what goes wrong with it is the caller's error."""
        from PIL import Image as Pillow
        from PIL import UnidentifiedImageError

        raw = super()._taken(item, position)
        try:
            with Pillow.open(io.BytesIO(raw), formats=list(_FORMATS.values())) as picture:
                yield picture
        except UnidentifiedImageError as error:
            raise self.misfit(f"is no image of {', '.join(_FORMATS)}", position) from error
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, UserWarning) as error:
            raise self.misfit(f"is a broken image: {error}", position) from error
        except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
            raise self._too_large("very many", position) from error

    def _check(self, picture: "Picture", position: Sequence[int]) -> None:
        """Refuse an image by its head, before its pixels are unpacked. Raises RequestError."""
        size = (picture.height, picture.width)
        if picture.height * picture.width > _MOST_PIXELS:
            raise self._too_large(f"{picture.height} x {picture.width}", position)
        wanted = self.declared.shape[-_RANK:-1]
        if any(want not in (-1, length) for want, length in zip(wanted, size, strict=True)):
            raise self.misfit(f"has height and width {list(size)}, expected {list(wanted)}", position)

    def _too_large(self, pixels: str, position: Sequence[int]) -> Exception:
        return self.misfit(f"has {pixels} pixels, at most {_MOST_PIXELS} are taken", position, status=413)

    def _pixels(self, picture: "Picture") -> np.ndarray:
        channels = self.declared.shape[-1]
        mode = _MODES[channels] if channels != -1 else _own_mode(picture)
        pixels = np.array(picture.convert(mode))
        return pixels[:, :, np.newaxis] if mode == "L" else pixels

    def _given(self, value: Any) -> bytes:
        array = np.asarray(value)
        array = array[:, :, np.newaxis] if array.ndim == _RANK - 1 else array
        wanted = self.declared.shape[-_RANK:]
        fits = array.ndim == _RANK and array.dtype == np.uint8 and array.shape[-1] in _MODES
        if not fits or any(w not in (-1, n) for w, n in zip(wanted, array.shape, strict=True)):
            raise self.broken(value)
        return _written(array)

    def _schema(self) -> dict[str, Any]:
        return {**super()._schema(), "contentMediaType": "image/png"}


def check_pixels(images: Sequence[Image], arrays: Tensors) -> None:
    """Refuse too many pixels in all before one is unpacked. Raises RequestError (413)."""
    total = 0
    for image in images:
        total = image.count_pixels(arrays, total)


def _own_mode(picture: "Picture") -> str:
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        return "RGBA"
    return "L" if picture.mode in _GREY else "RGB"


def _written(array: np.ndarray) -> bytes:
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(array[:, :, 0] if array.shape[-1] == 1 else array).save(buffer, "PNG")
    return buffer.getvalue()
