"""Keeps the ledger of what accounts use."""
