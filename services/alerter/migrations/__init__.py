"""The alerter's schema."""
