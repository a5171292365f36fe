"""The inference server inside every So1s image; it knows nothing of events."""
