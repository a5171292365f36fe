"""A service's state, and its delivery guarantee: at least once, effects once.

A handler's state change, its inbox row and the events that it produces commit in one transaction;
the outbox is sent afterwards, and only then does the offset move. A crash in between repeats an
event that the inbox knows, or sends an outbox row whose id consumers know.
"""

from so1s.store.leases import Leases
from so1s.store.outbox import Outbox
from so1s.store.store import Store
from so1s.store.transaction import Transaction
from so1s.store.upsert import upsert

__all__ = ["Leases", "Outbox", "Store", "Transaction", "upsert"]
