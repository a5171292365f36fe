"""An embedded broker that speaks the Kafka protocol, for laptops and tests.

It starts in a few hundredths of a second and keeps what it is given: topics made by CreateTopics, their
messages and commits outlive kill -9. A batch that was written but not yet acknowledged may then come twice,
an idempotent producer's too. The broker makes no topic by itself.

    with Broker(Path("data")) as broker:
        AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
"""

import select
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import Self

__all__ = ["Broker", "BrokerError", "binary"]

_START_SECONDS = 30.0  # Loading a large data directory takes seconds; an empty one 0.02.
_STOP_SECONDS = 10.0


class BrokerError(Exception):
    """The broker did not start; the message holds what it said."""


def binary() -> Path:
    """The broker's executable, where this package's installation put it.

    Raises FileNotFoundError where it is not there (`pip --target` records a wrong place).
    """
    scripts = (file for file in distribution("so1s-broker").files or () if file.name == "so1s-broker")
    for script in scripts:
        if (path := Path(str(script.locate())).resolve()).is_file():
            return path
    raise FileNotFoundError("so1s-broker is installed without its executable: install its wheel again")


class Broker:
    """One broker process, which a `with` block starts and stops.

    Args:
        data_dir: keeps topics, messages and commits over restarts; made where it is missing. One broker at
            a time may use it. What the broker complains about goes to `broker.log` in it.
        host: the address to serve on, which clients are told too.
        port: 0 takes a free port at the first start; later starts keep it.
        sync_writes: sync every batch to the disk, to outlive a loss of power too, at a quarter of the speed.
    """

    def __init__(
        self, data_dir: Path, *, host: str = "127.0.0.1", port: int = 0, sync_writes: bool = False
    ) -> None:
        self._data_dir = data_dir
        self._address = f"{host}:{port}"
        self._sync_writes = sync_writes
        self._process: subprocess.Popen[str] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """HOST:PORT, known from the first start on; the same after each later one."""
        return self._address

    @property
    def pid(self) -> int | None:
        """The process id, or None while no broker runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start, and return once clients can connect.

        Raises BrokerError where it runs already, or cannot start: the port or the data directory is in use.
        """
        if self.pid is not None:
            raise BrokerError(f"the broker on {self._address} runs already")
        self._close()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        log_path = self._data_dir / "broker.log"
        with log_path.open("a") as log:
            start_of_log = log.tell()
            self._process = self._spawn(log.fileno())
        ready = _first_line(self._process)
        if not ready:
            self.kill()
            raise BrokerError(log_path.read_text()[start_of_log:].strip() or "the broker did not get ready")
        self._address = ready.removeprefix("ready ")

    def stop(self) -> None:
        """Stop in order (SIGTERM), or by force where that takes over ten seconds. Harmless when stopped."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._close()

    def kill(self) -> None:
        """End the process as a crash would (SIGKILL). Harmless when stopped."""
        if self._process is not None:
            self._process.kill()
            self._close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _spawn(self, log: int) -> subprocess.Popen[str]:
        arguments = [binary(), "--listen", self._address, "--data-dir", self._data_dir]
        if self._sync_writes:
            arguments.append("--sync-writes")
        return subprocess.Popen(  # noqa: S603  # our own executable
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # Ctrl-C in a terminal reaches the owner alone, which then stops its parts in order.
            start_new_session=True,
        )

    def _close(self) -> None:
        """Reap the ended process, so that none is left behind."""
        if self._process is not None:
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


def _first_line(process: subprocess.Popen[str]) -> str:
    """What the broker prints when it is ready; empty where it ended or the time ran out first."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
    return process.stdout.readline().strip() if readable else ""
