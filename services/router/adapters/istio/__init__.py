"""Istio's objects: what they say, how they are written, and how they are followed."""
