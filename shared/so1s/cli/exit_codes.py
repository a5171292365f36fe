"""The exit codes of the command line, for scripts."""

OK, FAILED, USAGE, UNREACHABLE, TIMED_OUT, UNSIGNED = range(6)
INTERRUPTED = 130
"""As shells have it for Ctrl-C."""
