"""Run the collector: `python -m services.collector`."""

from services.collector.app import build
from services.collector.settings import Settings

if __name__ == "__main__":
    build(Settings.read()).run()
