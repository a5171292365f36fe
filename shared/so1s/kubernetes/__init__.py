"""The Kubernetes API as So1s uses it: server-side apply, and mirrors of what is there.

Objects are plain JSON, as the API shows them: a service's own words for them belong to its adapters.
"""

from so1s.kubernetes.api import Api, connect
from so1s.kubernetes.errors import Refused
from so1s.kubernetes.mirror import Key, Mirror

__all__ = ["Api", "Key", "Mirror", "Refused", "connect"]
