"""The benchmarks that need a cluster: So1s on the lab's Kubernetes, Istio, Apache Kafka and PostgreSQL.

Pods run on kwok's nodes, which start them at once: what is seen is the control plane's time and ours.
"""
