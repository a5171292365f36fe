"""The base that inference servers stand on: Debian's essential packages and its Python, and no more.

    python -m deploy.images.base DIRECTORY [--mirror URL] [--update-lock]

writes an OCI image layout, without Docker, from what `mmdebstrap` unpacks; the same packages give the same
digest. `base.ARCHITECTURE.lock` beside this file pins the version of every package: where the mirror has
newer ones, this fails and names them. A mirror that keeps old versions is https://snapshot.debian.org/.

Push it with any client, such as `skopeo copy oci:DIRECTORY docker://REGISTRY/so1s/base`, and name it by its
digest in `SO1S_BASE_IMAGE`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

SUITE = "bookworm"
PACKAGES = (
    "bubblewrap",  # the builder's sandbox
    "ca-certificates",
    "libgomp1",  # OpenMP, which scikit-learn, xgboost and others ask of the system
    "libpython3-stdlib",
    "libstdc++6",
    "python3-minimal",
)
MIRROR = "http://deb.debian.org/debian"
_CREATED_AT = 1_767_225_600
"""2026-01-01T00:00:00Z: what is newer in the packages is set back to it."""
_LEFT_OUT = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
)
_STATUS = "./var/lib/dpkg/status"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class RecipeError(Exception):
    """The base cannot be made; the message says why."""


@dataclass(frozen=True)
class Blob:
    """What a descriptor points to."""

    media_type: str
    digest: str
    size: int

    def descriptor(self) -> dict[str, Any]:
        """As documents say it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def build(layout: Path, *, mirror: str = MIRROR, lock: Path | None = None) -> str:
    """Make the base, and answer its digest.

    Args:
        layout: a new directory for the image layout.
        mirror: where packages come from.
        lock: the versions that it must consist of; any that the mirror has where absent.

    Raises:
        RecipeError: mmdebstrap is missing, this is not root, or the mirror has other versions.
    """
    with tempfile.TemporaryDirectory(dir=layout.parent) as temporary:
        tree, made = Path(temporary) / "base.tar", Path(temporary) / "layout"
        _unpack(tree, mirror)
        versions = packages_of(tree)
        if lock:
            require_locked(versions, lock)
        digest = _write_layout(made, tree, versions)
        made.rename(layout)
    return digest


def packages_of(tree: Path) -> dict[str, str]:
    """The installed packages of a system, by name."""
    with tarfile.open(tree) as archive:
        status = archive.extractfile(_STATUS)
        assert status
        paragraphs = status.read().decode().split("\n\n")
    found = [_fields(paragraph) for paragraph in paragraphs if paragraph.strip()]
    return {
        fields["Package"]: fields["Version"] for fields in sorted(found, key=lambda each: each["Package"])
    }


def require_locked(versions: dict[str, str], lock: Path) -> None:
    """Hold versions against those of a lock file.

    Raises:
        RecipeError: they differ.
    """
    locked = dict(line.split() for line in lock.read_text().splitlines())
    other = [
        f"{name} {locked.get(name, 'absent')} → {versions.get(name, 'absent')}"
        for name in sorted(versions.keys() | locked.keys())
        if versions.get(name) != locked.get(name)
    ]
    if other:
        raise RecipeError(
            f"the mirror has other packages than {lock.name}: {', '.join(other)}; "
            "take a mirror of that day, or --update-lock"
        )


def lock_file() -> Path:
    """The lock file for this machine's architecture."""
    return Path(__file__).with_name(f"base.{_architecture()}.lock")


def fingerprint() -> str:
    """Changes with this recipe and its lock files: who keeps what it made makes it anew then."""
    files = [Path(__file__), *sorted(Path(__file__).parent.glob("base.*.lock"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def write_lock(layout: Path, lock: Path) -> None:
    """Lock what a layout consists of."""
    lock.write_text((layout / "packages.txt").read_text())


def _fields(paragraph: str) -> dict[str, str]:
    lines = [line for line in paragraph.splitlines() if not line.startswith(" ")]
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def _unpack(tree: Path, mirror: str) -> None:
    program = shutil.which("mmdebstrap")
    if not program:
        raise RecipeError("mmdebstrap is missing: apt-get install --no-install-recommends mmdebstrap")
    if os.geteuid() != 0:
        raise RecipeError("the recipe needs root: the files of a system belong to it")
    options = [f"--dpkgopt={option}" for option in _LEFT_OUT]
    line = [program, "--quiet", "--variant=essential", f"--include={','.join(PACKAGES)}", *options]
    done = subprocess.run(  # noqa: S603 - the arguments are this recipe's
        [*line, SUITE, str(tree), mirror],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RecipeError(f"mmdebstrap: {done.stderr.strip()[-2000:]}")


def _environment() -> dict[str, str]:
    """Without what changes how the packages' scripts run Python, but for one: they leave no bytecode."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {
        "SOURCE_DATE_EPOCH": str(_CREATED_AT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def _write_layout(layout: Path, tree: Path, versions: dict[str, str]) -> str:
    (layout / "blobs" / "sha256").mkdir(parents=True)
    layer, diff_id = _add_layer(layout, tree)
    config = _add_document(
        layout, "application/vnd.oci.image.config.v1+json", _configuration(diff_id, versions)
    )
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = _add_document(
        layout,
        manifest_type,
        {
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        },
    )
    (layout / "packages.txt").write_text("".join(f"{name} {each}\n" for name, each in versions.items()))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest.descriptor()]}))
    return manifest.digest


def _configuration(diff_id: str, versions: dict[str, str]) -> dict[str, Any]:
    created = "2026-01-01T00:00:00Z"
    return {
        "created": created,
        "os": "linux",
        "architecture": _architecture(),
        "config": {
            "Env": [f"PATH={_PATH}", "LANG=C.UTF-8"],
            "Labels": {"so1s.python": versions["python3-minimal"]},
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": f"mmdebstrap {SUITE} {' '.join(PACKAGES)}"}],
    }


def _add_layer(layout: Path, tree: Path) -> tuple[Blob, str]:
    packed = layout / "layer"
    with tree.open("rb") as plain, packed.open("wb") as into:
        zstandard.ZstdCompressor(level=3).copy_stream(plain, into, size=tree.stat().st_size)
    digest = _digest(packed)
    blob = Blob("application/vnd.oci.image.layer.v1.tar+zstd", f"sha256:{digest}", packed.stat().st_size)
    packed.rename(layout / "blobs" / "sha256" / digest)
    return blob, f"sha256:{_digest(tree)}"


def _add_document(layout: Path, media_type: str, value: dict[str, Any]) -> Blob:
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(data)
    return Blob(media_type, f"sha256:{digest}", len(data))


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _architecture() -> str:
    """In the words of Debian and of OCI, which are the same for these."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description="Make the base image of Debian packages.")
    parser.add_argument("layout", type=Path, help="a new directory for the OCI image layout")
    parser.add_argument("--mirror", default=MIRROR)
    parser.add_argument("--update-lock", action="store_true", help="take the versions that the mirror has")
    said = parser.parse_args()
    layout = said.layout.absolute()
    try:
        digest = build(layout, mirror=said.mirror, lock=None if said.update_lock else lock_file())
    except RecipeError as error:
        sys.exit(str(error))
    if said.update_lock:
        write_lock(layout, lock_file())
    sys.stdout.write(f"{digest}\n")


if __name__ == "__main__":
    main()
