"""Registries: a client of the OCI distribution API, for who pushes images and for who verifies them."""

from so1s.registry.client import Registry, RegistryAway, Session
from so1s.registry.documents import CONFIG, INDEX, MANIFEST, Document, digest_of

__all__ = ["CONFIG", "INDEX", "MANIFEST", "Document", "Registry", "RegistryAway", "Session", "digest_of"]
