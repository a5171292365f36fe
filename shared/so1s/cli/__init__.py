"""The command line of So1s: publish, watch, split traffic, explain and mend.

Exit codes:
    0  done
    1  it was tried and failed: a build, a deployment, a route, a check, a prediction
    2  what was given is not allowed, and nothing was begun: an argument, or what a so1s.yaml says
    3  a part of the platform does not answer
    4  the time was over before the end was seen; it may still come
    5  an image is not signed
"""

from so1s.cli.main import main

__all__ = ["main"]
