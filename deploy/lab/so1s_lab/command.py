"""Command lines of programs that take `--name=value`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def command(*words: str | Path, **options: object) -> list[str]:
    """`command(binary, data_dir=path)` is `[binary, "--data-dir=path"]`."""
    return [*map(str, words), *_flags(options)]


def _flags(options: Mapping[str, object]) -> list[str]:
    return [f"--{name.replace('_', '-')}={_written(value)}" for name, value in options.items()]


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
