"""Migrations of a builder's tables."""
