"""The registry: one user, and TLS by a private authority."""

import ssl

import httpx
import pytest


def test_it_lets_in_its_user_and_nobody_else(registry):
    url = f"{registry.url}/v2/"
    assert httpx.get(url, auth=(registry.username, registry.password)).status_code == 200
    refused = httpx.get(url, auth=(registry.username, "guessed"))
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")


def test_its_certificate_is_verified_by_the_authority_alone(tls_registry):
    url = f"{tls_registry.url}/v2/"
    verify = ssl.create_default_context(cafile=tls_registry.ca_file)
    assert httpx.get(url, auth=(tls_registry.username, tls_registry.password), verify=verify).is_success
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(url)
