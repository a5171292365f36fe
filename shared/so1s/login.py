"""The login of a person: which console they work with, and their token, in a file that only they can read.

It lies in the user's configuration directory: `$XDG_CONFIG_HOME/so1s/login.json`, or below `~/.config`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from so1s.errors import InvalidInput


class Login(BaseModel):
    """A console and a token of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    token: SecretStr
    account: str

    def keep(self) -> Path:
        """Write the file, readable by its owner alone from its first byte on."""
        path = location()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        said = self.model_dump() | {"token": self.token.get_secret_value()}
        beside = path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(json.dumps(said, indent=1) + "\n")
        beside.replace(path)
        return path

    @classmethod
    def find(cls) -> Login | None:
        """The login that was kept; None where there is none.

        Raises:
            InvalidInput: the file is none that `keep` wrote.
        """
        try:
            path = location()
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, PermissionError, RuntimeError):
            return None  # a pod's user may have no home
        except ValidationError:
            raise InvalidInput.fault(
                str(path), "it is no login", "allowed: what `so1s login` writes"
            ) from None

    @staticmethod
    def forget() -> bool:
        """Remove the file; False where there was none."""
        try:
            location().unlink()
        except (FileNotFoundError, RuntimeError):
            return False
        return True


def location() -> Path:
    """Where the file is.

    Raises:
        RuntimeError: the user has no home.
    """
    configured = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configured) if configured else Path.home() / ".config") / "so1s" / "login.json"
