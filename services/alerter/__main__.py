"""`python -m services.alerter`."""

from services.alerter.app import build
from services.alerter.settings import Settings

if __name__ == "__main__":
    build(Settings.read()).run()
