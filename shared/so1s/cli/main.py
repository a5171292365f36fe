"""The entry: arguments in, an exit code out; a foreseeable error is one message and no traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from so1s.cli.exit_codes import FAILED, INTERRUPTED, OK, TIMED_OUT, UNREACHABLE, UNSIGNED, USAGE
from so1s.errors import InvalidInput, So1sError, Unreachable

_EVERYWHERE = ("--output", "-o")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line; answers its exit code."""
    from so1s.cli.app import app

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what matters comes as an error
    try:
        app(args=hoisted(arguments), prog_name="so1s")
    except SystemExit as exit_:  # typer exits by itself, with 2 where an argument is wrong
        return int(exit_.code or OK)
    except (So1sError, TimeoutError) as error:
        _tell(error)
        return exit_code(error)
    return OK


def hoisted(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--output` in front, as it may stand anywhere and belongs to the whole."""
    first, rest, taking = [], [], False
    for position, argument in enumerate(arguments):
        if argument == "--":
            return [*first, *rest, *arguments[position:]]
        ours = taking or argument.partition("=")[0] in _EVERYWHERE
        taking = not taking and argument in _EVERYWHERE
        (first if ours else rest).append(argument)
    return [*first, *rest]


def exit_code(error: BaseException) -> int:
    """What kind of error it is."""
    from so1s.cli.ask import Interrupted
    from so1s.cli.images import Unsigned

    if isinstance(error, TimeoutError):
        return TIMED_OUT
    if isinstance(error, Interrupted):
        return INTERRUPTED
    if isinstance(error, Unreachable):
        return UNREACHABLE
    if isinstance(error, Unsigned):
        return UNSIGNED
    return USAGE if isinstance(error, InvalidInput) else FAILED


def _tell(error: BaseException) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    problems = [str(each) for each in error.problems] if isinstance(error, InvalidInput) else [str(error)]
    for problem in problems:
        console.print(Text.assemble(("✗ ", "red"), problem))
