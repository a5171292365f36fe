"""Routes the traffic of endpoints to their variants."""
