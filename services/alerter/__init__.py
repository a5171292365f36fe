"""Watches health and tells Slack."""
