"""What an image was made of: the facts that its bill of materials and its provenance tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from services.builder.domain.compilation import Compilation
from services.builder.domain.image import Base, Layer
from services.builder.domain.lock import Origin
from so1s.errors import without_credentials
from so1s.events import Image, ModelUploaded
from so1s.events.model import Format
from so1s.modelfile import DataSet, ModelFile

UPLOADED_DATA = "dataset"
"""What the data set is called that the upload's lineage names by its URI alone."""

_VERSION = re.compile(r"(?:^|&)(versionId=[\w.~-]+)(?=&|$)")
_PAGE = re.compile(r"/[/\w.~-]*")

Pin = tuple[str, str]
"""A package: its normalised name, and its version."""


@dataclass(frozen=True, slots=True)
class Package:
    """A library that was installed."""

    name: str
    """Normalised, such as `scikit-learn`."""
    version: str
    hashes: tuple[str, ...]
    """sha256, in hexadecimal, of each file that the lock allows for this version: one was installed."""
    license: str | None
    """As its author says it: an SPDX expression, or words."""
    origin: Origin | None = None
    """Where it is from; None for a wheel of an index."""

    @property
    def purl(self) -> str:
        """https://github.com/package-url/purl-spec."""
        known = f"pkg:pypi/{self.name}@{quote(self.version)}"
        if self.origin is None or self.origin.of_index:
            return known
        return f"{known}?download_url={quote(self.origin.place, safe='')}"


@dataclass(frozen=True, slots=True)
class Source:
    """The model that an image's own was compiled from."""

    format: Format
    file: str
    """Its path in the artifact."""
    sha256: str
    lock_sha256: str
    """Of the lock file that the compiler was installed from."""
    compilation: Compilation


@dataclass(frozen=True, slots=True)
class Made:
    """One image and its ingredients."""

    image: Image
    uploaded: ModelUploaded
    format: Format
    """What it serves."""
    artifact_sha256: str
    """Of what was uploaded."""
    model_file: str
    """The model's path in the artifact, or in the image where it was compiled."""
    model_sha256: str
    """Of that file; of a model of several files, of the sorted lines `SHA256  PATH` of them."""
    base: Base
    platform: str
    lock_sha256: str
    """Of the lock file that the packages were installed from."""
    packages: tuple[Package, ...]
    runtime_version: str
    runtime: Layer
    source: Source | None = None
    """None where the model is as it was uploaded."""
    described: ModelFile | None = None
    """The artifact's `so1s.yaml`."""

    @property
    def key(self) -> str:
        """The model's name: `risk/fraud`."""
        return self.uploaded.key

    @property
    def data(self) -> list[DataSet]:
        """The data sets that are declared: by the author, and by the upload's lineage, which wins."""
        declared = self.described.data if self.described else []
        uri = self.uploaded.lineage.dataset_uri
        if uri and all(each.uri != uri for each in declared):
            said = DataSet.model_construct(name=UPLOADED_DATA, uri=uri)  # an event's, which may be longer
            declared = [said, *(each for each in declared if each.name != UPLOADED_DATA)]
        return [_public(each) for each in declared]


def public(uri: str) -> str:
    """A URI as everybody may read it who can read the image.

    User, password and query may be secrets, such as a signature that lets anybody read. Of the query,
    the version of an S3 object stays; of the fragment, a path, by which some pages tell their runs apart.
    """
    rest, _, fragment = without_credentials(uri).partition("#")
    place, _, query = rest.partition("?")
    version, page = _VERSION.search(query), _PAGE.match(fragment)
    return place + (f"?{version[1]}" if version else "") + (f"#{page[0]}" if page else "")


def _public(data: DataSet) -> DataSet:
    return data.model_copy(update={"uri": public(data.uri)}) if data.uri else data
