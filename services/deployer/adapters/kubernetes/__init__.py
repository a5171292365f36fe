"""The parts of `cluster_kubernetes`: manifests of what is wanted, and what the cluster's objects show."""
