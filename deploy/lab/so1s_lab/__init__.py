"""The lab: the real parts of a cluster as processes of this machine, without containers.

Each part is a module: it says what it needs, builds or downloads that under `.lab/` of the checkout, and
runs on 127.0.0.1. Tests start the parts that they ask for; `make lab` starts all of them for people.
"""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
LAB_DIR = CHECKOUT / ".lab"
"""Everything that is built, downloaded or run, so that removing it removes the lab."""
