"""Turns a model version into an image."""
