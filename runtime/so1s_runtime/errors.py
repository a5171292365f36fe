"""What can go wrong, told apart by who can mend it: the caller, or the model's author."""

from collections.abc import Sequence


class RequestError(Exception):
    """The request cannot be answered; the message tells the caller what to change.

    `field` names the input, `position` is the index of the first wrong value in it, and `expected` is what
    belongs there (`float32`, `float32[-1,30]`). `status` is the HTTP status of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        field: str | None = None,
        position: Sequence[int | str] | None = None,
        expected: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        details = {"field": field, "position": position, "expected": expected}
        self.body = {"error": message} | {key: value for key, value in details.items() if value is not None}


class AuthorError(Exception):
    """Code that the model's author wrote raised something: `type` is its name, `said` what, where and why."""

    def __init__(self, raised: BaseException, said: str) -> None:
        super().__init__(said)
        self.type = type(raised).__name__
        self.__cause__ = raised


class ModelError(Exception):
    """The model directory cannot be served, or breaks its manifest; the message says what to mend."""


def unforeseen(error: Exception, request_id: str) -> RequestError:
    """What a caller learns of an error that is none of its own: nothing of the code."""
    if not isinstance(error, AuthorError):
        return RequestError(f"the model failed; see the log of request {request_id}", status=500)
    said = f"the model's code raised {error.type}; see the log of request {request_id}"
    failed = RequestError(said, status=500)
    failed.body["type"] = error.type
    return failed
