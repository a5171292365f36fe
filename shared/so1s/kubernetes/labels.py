"""What the objects of a deployment say about it: the deployer writes it, others read it.

A Deployment and its pods bear labels; the Deployment alone bears annotations, since a change of its pods'
would replace them.
"""

from __future__ import annotations

DEPLOYED = "app.kubernetes.io/managed-by=so1s-deployer"
"""Selects the objects of deployments."""

ACCOUNT = "so1s.io/account"
DEPLOYMENT = "so1s.io/deployment"
TRACK = "so1s.io/track"
"""`stable` takes traffic, `candidate` does not."""
MODEL = "so1s.io/model"
"""A label of pods, and an annotation of Deployments; so is the version."""
VERSION = "so1s.io/version"
GRPC_PORT = 50051
"""Of a deployment's Service: its replicas over HTTP/2. It is the number that gRPC's examples have."""
SERVER = "server"
"""The container of a pod that is the inference server."""

REVISION = "so1s.io/revision"
ENDPOINT = "so1s.io/endpoint"
"""Empty where the deployment serves none."""
USER = "so1s.io/user"
LABELS = "so1s.io/labels"
"""For cost allocation, as a JSON object."""
EVENT_ID = "so1s.io/event-id"
"""Of the event that the deployment is as it is for; with its chain:"""
CORRELATION_ID = "so1s.io/correlation-id"
TRACEPARENT = "so1s.io/traceparent"
