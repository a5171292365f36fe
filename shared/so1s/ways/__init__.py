"""The way to a platform: to its Kafka, or over HTTP to its console with a token.

Whoever publishes or waits takes one of them, and need not know which: settings say it.
"""

from so1s.ways.way import Way, way_to

__all__ = ["Way", "way_to"]
