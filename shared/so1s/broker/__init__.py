"""Kafka: connections, topics, and the delivery of events to handlers."""
