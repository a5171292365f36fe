"""Runs the replicas of model versions."""
