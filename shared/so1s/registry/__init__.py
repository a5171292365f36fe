"""Registries: a client of the OCI distribution API, for who pushes images and for who verifies them."""

from so1s.registry.client import NotThere, Registry, RegistryAway, RegistryRefuses, Session
from so1s.registry.documents import CONFIG, EMPTY, INDEX, MANIFEST, Document, digest_of

__all__ = [
    "CONFIG",
    "EMPTY",
    "INDEX",
    "MANIFEST",
    "Document",
    "NotThere",
    "Registry",
    "RegistryAway",
    "RegistryRefuses",
    "Session",
    "digest_of",
]
