"""What the server is told at its start, by flags or by `SO1S_RUNTIME_*`; a flag wins."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from so1s_runtime.manifest import Manifest

ENVIRONMENT_PREFIX = "SO1S_RUNTIME_"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a value is written: `read` raises ValueError for what is not `allowed`."""

    allowed: str
    read: Callable[[str], Any]
    # Whether a value that is not allowed may be told.
    is_told: bool = True


def _between(number: type[int] | type[float], low: int, high: int) -> _Kind:
    def read(text: str) -> float:
        value = number(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return _Kind(f"{'a whole number' if number is int else 'a number'} from {low} to {high}", read)


def _directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise ValueError(text)
    return Path(text).absolute()  # code of a model may change the working directory


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _sink(text: str) -> str:
    parts = urlsplit(text)
    is_file = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    return text if is_file else _server(text)


def _server(text: str) -> str:
    parts = urlsplit(text)
    # urllib knows no user in a URL, and tells of the password in its error, as of what else is no URL.
    is_server = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    is_url = text.isascii() and text.isprintable() and " " not in text and parts.port != 0
    if text and not (is_server and is_url):
        raise ValueError
    return text


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


_SINK = _Kind(
    "file:///PATH, http://HOST/PATH or https://HOST/PATH, without a user or password", _sink, is_told=False
)
_SERVER = _Kind("http://HOST/PATH or https://HOST/PATH, without a user or password", _server, is_told=False)
_NAMES = _Kind("names with commas between", _names)
_SECONDS = _between(float, 0, 86_400)
_TEXT = _Kind("text", str)
_DIRECTORY = _Kind("a directory", _directory)
_SWITCH = _Kind("true or false", _switch)


def _setting(meaning: str, kind: _Kind, default: Any = MISSING) -> Any:
    metadata = {"meaning": meaning, "kind": kind}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server."""

    model_dir: Path = _setting("directory of model.json and the model", _DIRECTORY)  # noqa: RUF009 - it makes a dataclass field
    port: int = _setting("port to listen on", _between(int, 1, 65_535))
    # A container sets 0.0.0.0; a laptop must not be reachable from outside by default.
    host: str = _setting("address to listen on", _TEXT, "127.0.0.1")
    # Above any sane call of a model that answers while a person or a service waits.
    request_seconds: float = _setting("time for one answer, waiting included; then 504", _SECONDS, 30.0)
    # A body that may be larger than `max_body_bytes` has more, in proportion.
    body_seconds: float = _setting("time for a caller to send its body; then 408", _SECONDS, 10.0)
    # Longer than a mesh needs to take a replica that is not ready out of its endpoints.
    drain_seconds: float = _setting("time to serve on after SIGTERM, not ready", _SECONDS, 5.0)
    # A batch of about 30,000 rows of 30 numbers.
    max_body_bytes: int = _setting(
        "largest request body, unless inputs declare more; then 413",
        _between(int, 1, 2**31),
        16 * 1024 * 1024,
    )
    # Bounds memory at 64 bodies in work and the bytes of as many that are received, and waiting at 64 calls.
    max_concurrency: int = _setting("requests in work or waiting; then 429", _between(int, 1, 100_000), 64)
    # A caller that waits longer than this does better to ask another replica.
    wait_seconds: float = _setting("expected time until a call begins; then 429", _SECONDS, 5.0)
    # Where sharing a call of the model pays, which is tried at the start. 1 never shares.
    batch_rows: int = _setting(
        "rows of waiting requests that may share a call", _between(int, 1, 100_000), 32
    )
    # Calls that came while another one ran are shared at once; to wait for more costs each caller that time.
    batch_delay_ms: float = _setting(
        "time to wait for more rows to share a call", _between(float, 0, 10_000), 0.0
    )
    # One call at a time: more throughput comes from more replicas, which is what is scaled and billed.
    workers: int = _setting("threads that call the model", _between(int, 1, 256), 1)
    intra_threads: int = _setting("threads that one call may use", _between(int, 1, 256), 1)
    # Longer than the hour after which Envoy closes an idle connection: no request meets a closing one.
    keep_alive_seconds: int = _setting("time an idle connection stays open", _between(int, 0, 86_400), 3_700)
    # Empty: nothing is kept of what callers say.
    payload_sink: str = _setting("where samples of inputs and outputs go, as CloudEvents", _SINK, "")
    payload_fraction: float = _setting(
        "share of the good answers that is sampled", _between(float, 0, 1), 0.01
    )
    # Of each tensor; a number has 20 characters at most, so an event of a few tensors stays small.
    payload_values: int = _setting("values of a tensor that are kept", _between(int, 0, 1_000), 100)
    payload_redact: frozenset[str] = _setting(
        "inputs and outputs whose values are left out", _NAMES, frozenset()
    )
    # Empty: no spans. A collector's own is http://HOST:4318/v1/traces.
    trace_collector: str = _setting("where spans of sampled traces go, by OTLP over HTTP", _SERVER, "")
    account: str = _setting("whose model it is, as payloads and spans tell", _TEXT, "")
    deployment: str = _setting("what it serves for, as payloads and spans tell", _TEXT, "")
    access_log: bool = _setting("log a line per request", _SWITCH, default=False)


def told_by(manifest: Manifest, settings: Settings) -> Settings:
    """The settings of a model's server, of which its author says some."""
    said = {"batch_rows": manifest.batching.max_rows, "batch_delay_ms": manifest.batching.max_delay_ms}
    return replace(settings, **{name: value for name, value in said.items() if value is not None})


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings of a command line and an environment; exits with every problem, if there is one."""
    parser = argparse.ArgumentParser("so1s_runtime", description="Serve one model over HTTP.", epilog=_EPILOG)
    for setting in fields(Settings):
        _add_argument(parser, setting, environment)
    given = vars(parser.parse_args(arguments))
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in fields(Settings):
        try:
            if given[setting.name] is not None:
                values[setting.name] = setting.metadata["kind"].read(given[setting.name])
            elif setting.default is MISSING:
                problems.append(f"{_flag(setting)} is needed")
        except ValueError:
            kind = setting.metadata["kind"]
            said = f", is {given[setting.name]!r}" if kind.is_told else ""
            problems.append(f"{_flag(setting)} must be {kind.allowed}{said}")
    if problems:
        parser.error("; ".join(problems))
    return Settings(**values)


_EPILOG = (
    f"Each may also be set in the environment: --request-seconds is {ENVIRONMENT_PREFIX}REQUEST_SECONDS."
)


def _add_argument(
    parser: argparse.ArgumentParser, setting: Field[Any], environment: Mapping[str, str]
) -> None:
    meaning, default = setting.metadata["meaning"], setting.default
    is_switch = setting.metadata["kind"] is _SWITCH
    parser.add_argument(
        _flag(setting),
        help=meaning if default is MISSING else f"{meaning} ({default})",
        default=environment.get(ENVIRONMENT_PREFIX + setting.name.upper()),
        metavar=setting.name.rpartition("_")[2].upper(),
        nargs="?" if is_switch else None,
        const="true" if is_switch else None,
    )


def _flag(setting: Field[Any]) -> str:
    return f"--{setting.name.replace('_', '-')}"
