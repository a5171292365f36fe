"""`python -m services.deployer`, or `… down` to end every replica of this machine."""

import asyncio
import sys

from services.deployer.app import build, down
from services.deployer.settings import Settings

if __name__ == "__main__":
    if sys.argv[1:] == ["down"]:
        asyncio.run(down(Settings.read()))
    else:
        build(Settings.read()).run()
