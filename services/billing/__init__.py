"""Keeps the ledger of what accounts use.

Consumes: UsageSampled, UsageCorrected.
Produces: nothing; bills are read over HTTP.
Owns: the ledger, the price book, the archive of every accepted event.
Promises: a window is charged once, whatever is redelivered and in whatever order; the ledger is never
changed, only added to; each entry sums to 0; the archived events alone yield the same bill to the last
nano-USD.
"""
