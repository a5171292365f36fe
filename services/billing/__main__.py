"""Run billing: `python -m services.billing`; or audit its ledger: `python -m services.billing rebuild`."""

import asyncio
import sys

from services.billing.app import build, rebuild
from services.billing.settings import Settings

if __name__ == "__main__":
    if sys.argv[1:] == ["rebuild"]:
        sys.exit(asyncio.run(rebuild(Settings.read())))
    build(Settings.read()).run()
