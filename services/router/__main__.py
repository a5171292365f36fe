"""Run the router: `python -m services.router`."""

from services.router.app import build
from services.router.settings import Settings

build(Settings.read()).run()
