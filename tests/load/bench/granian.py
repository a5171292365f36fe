"""Our app on granian instead of uvicorn: `python -m tests.load.bench.granian MODEL_DIRECTORY PORT`.

It is installed beside the environment, as nothing of ours needs it.
"""

import os
import subprocess
import sys
from pathlib import Path

import uv

from so1s_runtime import manifest, model, trial
from so1s_runtime.app import App
from so1s_runtime.settings import Settings

VERSION = "2.8.7"
_PACKAGES = Path(".lab") / f"granian-{VERSION}"
_INSTALL_SECONDS = 300
_DIRECTORY = "SO1S_BENCH_MODEL_DIRECTORY"


class MissingPeerError(Exception):
    """Granian cannot be had here; the message is the reason."""


def install() -> Path:
    """Where its packages are. Raises MissingPeerError."""
    if not (_PACKAGES / "granian").exists():
        command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable]
        command += ["--target", str(_PACKAGES), f"granian=={VERSION}"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise MissingPeerError(
                f"granian {VERSION} cannot be installed: {error.stderr or error}"
            ) from error
    return _PACKAGES.absolute()


def app() -> App:
    """The app with its model, in granian's worker."""
    directory = Path(os.environ[_DIRECTORY])
    settings = Settings(model_dir=directory, port=1)
    made = App(settings, manifest.read(directory))
    loaded = model.load(made.manifest, directory, settings.intra_threads)
    made.worker.use(trial.attempt(loaded, directory), settings.batch_rows)
    made.model = loaded
    return made


def main() -> None:
    directory, port = sys.argv[1:]
    os.environ[_DIRECTORY] = directory
    packages = str(install())
    sys.path.append(packages)
    os.environ["PYTHONPATH"] = f"{os.environ['PYTHONPATH']}{os.pathsep}{packages}"
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces, Loops

    Granian(
        "tests.load.bench.granian:app",
        factory=True,
        port=int(port),
        interface=Interfaces.ASGINL,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main()
