"""What a token reaches, and what it does not: the console stands for the platform, but not for all of it."""

from __future__ import annotations

from so1s.errors import So1sError
from so1s.platform import ClientSettings

WITH_A_TOKEN = (
    "publish",
    "publish --wait",
    "predict",
    "weights set",
    "rollback",
    "remove",
    "endpoint remove",
    "build list",
    "build logs",
    "build again",
    "build retry",
    "build cancel",
    "status",
    "doctor",
)
"""The commands that the console serves."""


class NotWithToken(So1sError):
    """The console does not serve this command."""

    def __init__(self, settings: ClientSettings, what: str, setting: str) -> None:
        super().__init__(
            f"{settings.url} is a console, which does not tell what {what} knows. With a token work: "
            f"{', '.join(WITH_A_TOKEN)}. For this command set {setting}, or work where the platform runs"
        )


def require_kafka(settings: ClientSettings) -> None:
    """Let only those pass whose settings say where Kafka is.

    Raises:
        NotWithToken: they name a console alone.
    """
    if settings.url and "kafka" not in settings.model_fields_set:
        raise NotWithToken(settings, "Kafka", "SO1S_KAFKA")
