"""A base image on this disk: what others stand on, and its Python, by which their bytecode is made."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zstandard

from services.builder.domain.image import Base, Layer, python_abi

_INTERPRETER = "python3"
_PARTS = ("lib", "usr/lib/", "usr/bin/python3")
"""What of a system an interpreter needs; programs for other users and devices need not be unpacked."""


class Foundation:
    """An OCI image layout of one image."""

    def __init__(self, layout: Path) -> None:
        self._layout = layout
        (entry,) = _json(layout / "index.json")["manifests"]
        self.digest: str = entry["digest"]
        self._manifest = _json(self.blob(self.digest))

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return _blob(self._layout, digest)

    @property
    def image(self) -> Base:
        """As others stand on it."""
        config = _json(self.blob(self._manifest["config"]["digest"]))
        described = zip(self._manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
        layers = tuple(
            Layer(each["digest"], diff_id, each["size"], each["mediaType"]) for each, diff_id in described
        )
        name = f"{config['os']}-{platform.machine()}-{python_abi(config)}"
        return Base(f"so1s/base@{self.digest}", name, _INTERPRETER, layers, config)

    @property
    def size_bytes(self) -> int:
        """Of its layers as they are pulled."""
        return sum(each["size"] for each in self._manifest["layers"])

    def interpreter(self, directory: Path) -> Path:
        """Unpack its Python into a new directory, and answer a program that runs it on this machine.

        Bytecode is the same then whichever Python this machine has.

        Raises:
            ValueError: it does not run here.
        """
        system = directory / "system"
        for layer in self._manifest["layers"]:
            with self.blob(layer["digest"]).open("rb") as packed:
                plain = zstandard.ZstdDecompressor().stream_reader(packed)
                with tarfile.open(fileobj=plain, mode="r|") as archive:
                    archive.extractall(system, filter=_part)  # noqa: S202 - what data_filter lets through
        program = directory / "python"
        program.write_text(_script(system))
        program.chmod(0o755)
        tried = subprocess.run([program, "-S", "-c", ""], capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if tried.returncode:
            raise ValueError(f"the base's Python does not run on this machine: {tried.stderr.strip()}")
        return program


def referenced(layout: Path) -> set[str]:
    """The digests of all that the images of a layout consist of."""
    if not (layout / "index.json").exists():
        return set()
    images = {entry["digest"] for entry in _json(layout / "index.json")["manifests"]}
    manifests = [_json(_blob(layout, digest)) for digest in images]
    parts = [part for manifest in manifests for part in (manifest["config"], *manifest["layers"])]
    return images | {part["digest"] for part in parts}


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _json(path: Path) -> Mapping[str, Any]:
    return json.loads(path.read_bytes())


def _part(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    """A filter of tarfile: neither another part, nor a link to what this machine has there."""
    if not member.name.removeprefix("./").startswith(_PARTS) or member.linkname.startswith("/"):
        return None
    return tarfile.data_filter(member, path)


def _script(system: Path) -> str:
    """By the system's own loader and libraries: this machine's C library may be another."""
    (loader,) = system.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*")
    line = [str(loader), "--library-path", str(loader.parent), str(system / "usr" / "bin" / _INTERPRETER)]
    return f'#!/bin/sh\nPYTHONHOME={shlex.quote(str(system / "usr"))} exec {shlex.join(line)} "$@"\n'
