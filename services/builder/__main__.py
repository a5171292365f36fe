"""`python -m services.builder`."""

from services.builder.app import build
from services.builder.settings import Settings

build(Settings.read()).run()
