"""`python -m so1s_runtime --model-dir DIR --port N`: serve one model over HTTP."""

import logging
import os
import sys

from so1s_runtime.settings import read


def main() -> None:
    """Read the settings and serve until a signal."""
    settings = read(sys.argv[1:], os.environ)
    # Read once by OpenMP and BLAS, when NumPy and the model's library are imported.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, str(settings.intra_threads))

    from so1s_runtime.server import run

    code = run(settings)
    logging.shutdown()
    # A model that hangs in native code cannot be joined, and must not keep the process.
    os._exit(code)


if __name__ == "__main__":
    main()
