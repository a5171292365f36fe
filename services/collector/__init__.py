"""Samples usage and health into events."""
