"""What a builder decides: pure functions on typed values."""
