"""Billing's own metrics."""

from __future__ import annotations

from prometheus_client import Counter

BOOKED = Counter(
    "so1s_billing_entries_total", "Entries of the ledger that this process booked."
)  # standing still while samples come means that nothing is charged

NOTHING_NEW = Counter(
    "so1s_billing_nothing_new_total", "Events that changed no charge: idle windows, gaps, second samples."
)  # redeliveries of the same event never get here
