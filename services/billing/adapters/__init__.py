"""Billing's parts that touch the world."""
