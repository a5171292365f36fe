"""What runs in a Kubernetes cluster."""
