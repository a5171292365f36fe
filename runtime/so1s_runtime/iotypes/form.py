"""Forms: the parts of a body of `multipart/form-data`, as RFC 7578 has it."""

from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from so1s_runtime.errors import RequestError
from so1s_runtime.iotypes.media import of_header

MEDIA = "multipart/form-data"

# More than a model has inputs, or a batch rows that are worth a part of their own.
_MOST_PARTS = 256


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a form; `file_name` is empty for a field, `media` where it is not said."""

    name: str
    file_name: str
    media: str
    raw: bytes


def parts(content_type: str, body: bytes) -> list[Part]:
    """The parts in their order. Raises RequestError where the body is no whole form."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise RequestError(f"{MEDIA} needs a boundary in the content-type", field="content-type")
    gathering = _Gathering()
    try:
        gathering.parser(boundary).write(body)
    except FormParserError as error:
        raise RequestError(f"the form is broken: {error}") from error
    if not gathering.ended:
        raise RequestError("the form ends within a part")
    return gathering.parts


class _Gathering:
    """What the parser tells, bit by bit."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._headers: dict[str, bytes] = {}
        self._field = self._value = b""
        self._raw = bytearray()

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._take,
                "on_part_end": self._end_part,
                "on_header_field": self._take_field,
                "on_header_value": self._take_value,
                "on_header_end": self._end_header,
                "on_end": self._end,
            },
        )

    def _begin(self) -> None:
        if len(self.parts) == _MOST_PARTS:
            raise RequestError(f"the form has more than {_MOST_PARTS} parts", status=413)
        self._headers, self._raw = {}, bytearray()

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._raw += memoryview(data)[start:end]

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value
        self._field = self._value = b""

    def _end_part(self) -> None:
        disposition, options = parse_options_header(self._headers.get("content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise RequestError(f"part {len(self.parts) + 1} of the form has no name")
        media = of_header(self._headers.get("content-type", b"").decode("latin-1"))
        name, file_name = (options.get(key, b"").decode(errors="replace") for key in (b"name", b"filename"))
        self.parts.append(Part(name, file_name, media, bytes(self._raw)))

    def _end(self) -> None:
        self.ended = True
