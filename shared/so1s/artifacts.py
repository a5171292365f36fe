"""Uploads: a model's file or directory goes to where builders look, under a name made of its content.

    BASE/ACCOUNT/MODEL/VERSION/SHA256/NAME

A repeated upload finds its bytes there and sends nothing; other bytes never overwrite them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote, unquote, urlsplit

from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.events import Artifact
from so1s.platform import ARTIFACTS_ALLOWED, ClientSettings

_PACKED = "model.tar"
_PART_BYTES = 16 * 1024 * 1024
"""Of a multipart upload, or larger where these would be more than S3 takes."""
_MOST_PARTS = 10_000
_COPIED_BYTES = 1024 * 1024
"""At once, to a directory."""


class Target(Protocol):
    """Where uploads go."""

    def put(self, file: Path, prefix: str, sha256: str) -> str:
        """Send a file's bytes, where they are not there already; answers the artifact's URI.

        Args:
            file: what to send.
            prefix: `ACCOUNT/MODEL/VERSION`.
            sha256: of its bytes.

        Raises:
            Unreachable: the place does not answer.
            So1sError: it refused, or the file has other bytes meanwhile.
        """
        ...


class _Announced:
    """A file whose bytes are held against what was announced of them, as they are read from start to end."""

    def __init__(self, file: BinaryIO, sha256: str) -> None:
        self._file = file
        self._size_bytes = os.fstat(file.fileno()).st_size
        self._sha256 = sha256
        self._seen_bytes, self._seen = 0, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As of a file. The last bytes come only where all are those that were announced.

        Raises:
            So1sError: they are not.
        """
        block = self._file.read(size)
        self._seen.update(block)
        self._seen_bytes += len(block)
        is_end = not block or self._seen_bytes >= self._size_bytes
        if is_end and self._seen.hexdigest() != self._sha256:
            raise So1sError(
                f"{self._file.name} changed while it was sent: its bytes are not those of sha256 "
                f"{self._sha256} any more; publish it once nobody writes it"
            )
        return block


class DirectoryTarget:
    """A directory of a laptop."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._root = Path(unquote(urlsplit(base, allow_fragments=False).path))

    def put(self, file: Path, prefix: str, sha256: str) -> str:
        """See `Target`."""
        key = _key(file, prefix, sha256)
        with file.open("rb") as opened:  # of a file that cannot be read, the place is not to blame
            try:
                if not (self._root / key).exists():
                    self._copy(_Announced(opened, sha256), self._root / key)
            except OSError as error:
                raise Unreachable(f"{self._base} cannot be used: {error}") from error
        return self._base + quote(key)

    @staticmethod
    def _copy(file: _Announced, final: Path) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".") as beside:
            copied = Path(beside) / "part"
            with copied.open("xb") as opened:
                shutil.copyfileobj(file, opened, _COPIED_BYTES)
            copied.replace(final)  # a builder sees all of it or none


class S3Target:
    """A prefix in S3, or in anything that speaks its protocol. Needs the extra `s3`."""

    def __init__(self, base: str, settings: ClientSettings) -> None:
        self._base = base
        self._bucket, _, self._prefix = base.removeprefix("s3://").partition("/")
        self._s3 = _client(settings)

    def put(self, file: Path, prefix: str, sha256: str) -> str:
        """See `Target`."""
        key = _key(file, prefix, sha256)
        self._send(file, key, sha256)
        return self._base + key

    def _send(self, file: Path, key: str, sha256: str) -> None:
        from boto3.exceptions import S3UploadFailedError
        from boto3.s3.transfer import TransferConfig
        from botocore.exceptions import BotoCoreError, ClientError

        size_bytes = file.stat().st_size
        part_bytes = max(_PART_BYTES, -(-size_bytes // _MOST_PARTS))
        parts = TransferConfig(multipart_threshold=part_bytes, multipart_chunksize=part_bytes)
        try:
            if self._has(self._prefix + key, size_bytes):
                return
            with file.open("rb") as opened:
                stream = _Announced(opened, sha256)  # which boto3 reads in order, as it cannot seek
                self._s3.upload_fileobj(stream, self._bucket, self._prefix + key, Config=parts)
        except (ClientError, S3UploadFailedError) as error:
            raise So1sError(f"{self._base}{key} cannot be written: {error}") from error
        except BotoCoreError as error:
            raise Unreachable(f"{self._base} does not answer: {error}") from error

    def _has(self, key: str, size_bytes: int) -> bool:
        from botocore.exceptions import ClientError

        try:
            return self._s3.head_object(Bucket=self._bucket, Key=key)["ContentLength"] == size_bytes
        except ClientError:
            return False  # absent; or unreadable to us, and then writing tells


def target(settings: ClientSettings) -> Target:
    """Where uploads go: to where the console says, or as `SO1S_ARTIFACTS` does.

    Raises:
        InvalidInput: it says nothing, or nothing that can be used.
    """
    if settings.url:
        from so1s.ways.uploads import ConsoleTarget

        return ConsoleTarget(settings)
    base = settings.artifacts or ""
    if base.startswith("s3://") and base.endswith("/"):
        return S3Target(base, settings)
    if base.startswith("file:///") and base.endswith("/"):
        return DirectoryTarget(base)
    if not base:
        raise InvalidInput.missing("SO1S_ARTIFACTS", ARTIFACTS_ALLOWED)
    raise InvalidInput.of("SO1S_ARTIFACTS", base, ARTIFACTS_ALLOWED)


def upload(path: Path, to: Target, *, prefix: str) -> Artifact:
    """Send a file, or a directory as one tar.

    Args:
        path: what to send; hidden files and `__pycache__` of a directory stay behind.
        to: where to.
        prefix: `ACCOUNT/MODEL/VERSION`.

    Returns:
        where the bytes are, with their checksum and size.

    Raises:
        InvalidInput: there is nothing at `path`, or it holds a link.
        Unreachable: the place does not answer.
        So1sError: it refused.
    """
    with _as_file(path) as file:
        sha256 = _sha256(file)
        size_bytes = file.stat().st_size
        return Artifact(uri=to.put(file, prefix, sha256), sha256=sha256, size_bytes=size_bytes)


def fingerprint(path: Path) -> str:
    """The sha256 of what `upload` would send.

    Raises:
        InvalidInput: there is nothing at `path`, or it holds a link.
    """
    with _as_file(path) as file:
        return _sha256(file)


def _key(file: Path, prefix: str, sha256: str) -> str:
    return f"{prefix}/{sha256}/{file.name}"


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def _as_file(path: Path) -> Generator[Path, None, None]:
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        allowed = "allowed: a model's file or directory"
        if not path.exists():
            raise InvalidInput.fault("path", f"{path} does not exist", allowed)
        raise InvalidInput.of("path", str(path), allowed)
    with tempfile.TemporaryDirectory(prefix="so1s-upload-") as directory:
        packed = Path(directory) / _PACKED
        pack(path, packed)
        yield packed


def pack(directory: Path, into: Path) -> None:
    """Write a directory's files as a tar: the same files give the same bytes, whoever packs them and when.

    Raises:
        InvalidInput: the directory holds a link, or no file.
    """
    files = sorted(_files(directory), key=lambda file: file.relative_to(directory).as_posix())
    if not files:
        raise InvalidInput.of("path", str(directory), "allowed: a directory with files in it")
    with tarfile.open(into, "w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(file.relative_to(directory).as_posix())
            entry.size = file.stat().st_size
            entry.mode = 0o644
            with file.open("rb") as opened:
                archive.addfile(entry, opened)


def _files(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_symlink():
            raise InvalidInput.of("path", str(path), "allowed: files and directories, no links")
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _client(settings: ClientSettings) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise So1sError("uploads to S3 need boto3: pip install 'so1s[s3]'") from error
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=key.get_secret_value() if key else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=Config(
            retries={"mode": "standard"},
            s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
        ),
    )
