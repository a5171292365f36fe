"""The parts of the world that a builder works with."""
