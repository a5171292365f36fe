"""Programs that Debian packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

from so1s_lab.part import MissingPartError

PACKAGES = {
    "bwrap": "bubblewrap",
    "host-local": "containernetworking-plugins",
    "docker-registry": "docker-registry",
    "java": "default-jre-headless",
    "mmdebstrap": "mmdebstrap",
    "mvn": "maven",
    "podman": "podman",
    "prometheus": "prometheus",
    "containerd": "containerd",
    "runc": "runc",
}
"""The Debian package of each program that a part runs."""

_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/lib/cni"


def program(name: str) -> str:
    """The path of an installed program.

    Raises:
        MissingPartError: it is not installed; the message says how to.
    """
    found = _find(name)
    if not found:
        raise MissingPartError(f"{name} is missing: {' '.join(_install(PACKAGES[name]))}")
    return found


def package_version(program_name: str) -> str:
    """The version of a program's package: `2.42.0+ds-5+deb12u1`; empty where it is not installed."""
    return _version(PACKAGES[program_name])


def install_missing(headers: Iterable[str] = ()) -> list[str]:
    """Install the packages of what is missing, where this is root on a Debian; answers what was installed.

    Args:
        headers: packages, without a program of their own, that something is built with.

    Raises:
        MissingPartError: they cannot be installed.
    """
    missing = sorted(
        {package for name, package in PACKAGES.items() if not _find(name)}
        | {package for package in headers if not _version(package)}
    )
    if not missing or os.geteuid() != 0 or not shutil.which("apt-get"):
        return []
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], _install(*missing)):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if done.returncode:
            raise MissingPartError(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return missing


def _version(package: str) -> str:
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    if not shutil.which(query[0]):
        return ""
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout  # noqa: S603 - ours


def _install(*packages: str) -> list[str]:
    return ["apt-get", "install", "--yes", "--no-install-recommends", *packages]


def _find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)
