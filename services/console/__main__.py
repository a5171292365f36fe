"""Run the console: `python -m services.console`; or see to its tokens: `python -m services.console token`."""

import sys

if __name__ == "__main__":
    if sys.argv[1:]:
        from services.console.commands import main

        main()
    else:
        from services.console.app import build
        from services.console.settings import Settings

        build(Settings.read()).run()
