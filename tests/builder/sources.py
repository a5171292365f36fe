"""Source distributions, and an index that has them."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from textwrap import dedent

WRITES_A_WHEEL = """
import os, sys, zipfile
def build_wheel(directory, settings=None, metadata=None):
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    info = f"{NAME}-{VERSION}.dist-info"
    metadata = f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n"
    files = {
        f"{NAME}.py": MODULE() if callable(MODULE) else MODULE,
        f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {each}\\n" for each in NEEDS),
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files |= globals().get("EXTRA", {})
    record = "".join(f"{path},,\\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return name
"""
"""A backend that a source brings along, so that nothing else builds it."""


def sdist(
    name: str,
    version: str = "1.0",
    *,
    module: str = "'ANSWER = 42\\n'",
    needs: Sequence[str] = (),
    tools: Sequence[str] = (),
    backend: str = "",
    files: Mapping[str, str] | None = None,
) -> bytes:
    """A source distribution that builds itself.

    Args:
        name: of the package.
        version: of it.
        module: an expression of Python: the text of its one module, or a function that gives it.
        needs: what it requires where it runs.
        tools: what it requires to be built.
        backend: code that runs as its backend is imported; `EXTRA` are more files of its wheel.
        files: others; a `pyproject.toml` takes the place of ours.
    """
    said = f"NAME, VERSION, NEEDS = {name!r}, {version!r}, {[*needs]!r}\n"
    code = f"{dedent(backend)}\n{said}MODULE = {module}\n{WRITES_A_WHEEL}"
    project = f'[build-system]\nrequires = {[*tools]!r}\nbuild-backend = "own"\nbackend-path = ["."]\n'
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="w", mtime=0) as plain,
        tarfile.open(fileobj=plain, mode="w") as archive,
    ):
        for path, text in {"pyproject.toml": project, "own.py": code, **(files or {})}.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def index_of(files: Mapping[str, bytes], where: str = "") -> dict[str, bytes]:
    """What an index serves that has these files, by their names.

    Args:
        files: the content of each.
        where: the URL before `/files/`, where another server has them.
    """
    pages: dict[str, str] = {}
    for name, data in files.items():
        project = name.split("-")[0].replace("_", "-")
        link = f'<a href="{where}/files/{name}#sha256={hashlib.sha256(data).hexdigest()}">{name}</a>\n'
        pages[f"/simple/{project}/"] = pages.get(f"/simple/{project}/", "") + link
    served = {f"/files/{name}": data for name, data in files.items()} if not where else {}
    return {path: text.encode() for path, text in pages.items()} | served
