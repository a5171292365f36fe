"""What a Prometheus server knows of the past."""
