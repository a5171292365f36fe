"""Why a model is not compiled."""

from so1s_runtime.errors import ModelError

WITHOUT = "leave `optimize` out, and it is served by its own library"


class CannotCompile(ModelError):
    """The model cannot be compiled, or answers otherwise then."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}; {WITHOUT}")


def first_line(error: Exception) -> str:
    """What an error of a library says, without the advice that follows."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
