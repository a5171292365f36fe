"""Our app on granian instead of uvicorn: `python -m tests.load.bench.granian MODEL_DIRECTORY PORT`.

It is installed beside the environment, as nothing of ours needs it.
"""

import os
import sys
from pathlib import Path

from so1s_runtime import manifest, model, trial
from so1s_runtime.app import App
from so1s_runtime.settings import Settings
from tests.environments import environment

VERSION = "2.8.7"
_DIRECTORY = "SO1S_BENCH_MODEL_DIRECTORY"


def install() -> Path:
    """Where its packages are. Raises MissingEnvironmentError."""
    python = environment(f"granian-{VERSION}", f"granian=={VERSION}")
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    return packages


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
