"""What a builder is told by its environment, each field as `SO1S_FIELD`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from services.builder.domain.reference import Reference
from services.builder.locks import OnGpu
from so1s.events.model import Format
from so1s.events.names import Account
from so1s.modelfile_tensors import INPUT_BYTES, MOST_INPUT_BYTES
from so1s.settings import ServiceSettings

_PATH = re.compile(r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")


def _prefix(template: str) -> str:
    try:
        filled = template.format(account="account")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError("allowed: {account} as the only placeholder") from error
    if not filled.endswith("/account/") or not filled.startswith(("s3://", "file:///")):
        raise ValueError("allowed: s3://BUCKET/…/{account}/ or file:///DIRECTORY/{account}/")
    return template


def _registry(url: str) -> str:
    parts = urlsplit(url)
    is_address = parts.scheme in {"http", "https"} and parts.hostname and _PATH.fullmatch(parts.path)
    if not is_address or parts.username or parts.query or parts.fragment:
        raise ValueError("allowed: https://HOST/PREFIX; the user and the password are settings of their own")
    return url


def _server(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise ValueError("allowed: https://HOST, or http:// for one on a private network")
    return url


def _package_url(template: str) -> str:
    try:
        parts = urlsplit(template.format(account="account"))
        host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError("allowed: https://HOST/…/ with {account} as the only placeholder") from error
    inner = parts.path.split("/")[1:-1]
    is_plain = all(re.fullmatch(r"[A-Za-z0-9._~+!-]+", each) and each not in {".", ".."} for each in inner)
    if (
        parts.scheme != "https"
        or not host
        or parts.netloc != host
        or not parts.path.endswith("/")
        or not is_plain
    ):
        raise ValueError(
            "allowed: https://HOST/…/, a directory without user, query and fragment; the host in lower case"
        )
    if parts.query or parts.fragment or "{" in urlsplit(template).netloc:
        raise ValueError("allowed: https://HOST/…/, with {account} in its path alone")
    return template


def _index(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise ValueError(
            "allowed: https://HOST/PATH, or http:// for one on a private network; "
            "the password is UV_INDEX_TORCH_CPU_PASSWORD, beside UV_INDEX_TORCH_CPU_USERNAME"
        )
    return url


RegistryUrl = Annotated[str, AfterValidator(_registry)]
PrefixTemplate = Annotated[str, AfterValidator(_prefix)]


def _listed(said: object) -> object:
    """Names as people write them in a variable: `risk, fraud-lab`, or `*`; JSON as well."""
    if isinstance(said, str) and not said.lstrip().startswith("["):
        return [name.strip() for name in said.split(",") if name.strip()]
    return json.loads(said) if isinstance(said, str) else said


Accounts = Annotated[list[Account | Literal["*"]], NoDecode, BeforeValidator(_listed)]


def _host(said: str) -> str:
    try:
        parts = urlsplit(f"//{said}")
        is_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_host = False
    if not is_host or parts.netloc != said or parts.username is not None:
        raise ValueError("allowed: HOST or HOST:PORT")
    return said.lower()


PackageUrls = Annotated[
    list[Annotated[str, AfterValidator(_package_url)]], NoDecode, BeforeValidator(_listed)
]
PackageHosts = Annotated[list[Annotated[str, AfterValidator(_host)]], NoDecode, BeforeValidator(_listed)]


class S3Settings(ServiceSettings):
    """How to reach S3. Without keys, boto3 finds credentials itself, such as a pod's identity."""

    s3_endpoint_url: str | None = None
    """Of a store that is not AWS; events never name one."""
    s3_region: str = "us-east-1"
    s3_access_key_id: SecretStr | None = None
    s3_secret_access_key: SecretStr | None = None


class RegistrySettings(ServiceSettings):
    """Where images go in a cluster. Without a registry they go to `image_dir`."""

    image_registry: RegistryUrl | None = None
    """`https://HOST/PREFIX`, or `http://` for one on a private network: images become
    `HOST/PREFIX/ACCOUNT/MODEL`. `base_image` must be said beside it."""
    image_registry_user: str | None = None
    image_registry_password: SecretStr | None = None
    image_registry_ca_file: Path | None = None
    """PEM file of a private authority; the system's where it is absent."""
    base_image: str | None = None
    """What images stand on, as `HOST/REPOSITORY@sha256:…` in the same registry: it brings the interpreter
    that this builder runs on, too. On a laptop images stand on the host."""
    base_glibc: Literal["2.17", "2.28", "2.31", "2.34", "2.35", "2.36", "2.39", "2.40"] = "2.28"
    """The newest C library that libraries may ask of the base: Debian has 2.28 since 10, RHEL since 8."""

    @model_validator(mode="after")
    def _base_is_there(self) -> Self:
        if (self.image_registry is None) != (self.base_image is None):
            raise ValueError("image_registry and base_image: allowed: both or neither")
        if self.base_image and self.image_registry:
            host = Reference.parse(self.base_image).host
            if host != urlsplit(self.image_registry).netloc:
                raise ValueError(
                    f"base_image: allowed: an image in {self.image_registry}, as layers are mounted"
                )
        return self


class SigningSettings(ServiceSettings):
    """How images are signed. Without a key they are described all the same, and nobody vouches for that."""

    signing_key_file: Path | None = None
    """PEM file of an ECDSA key on P-256, such as a Secret's file in a pod."""
    signing_key: SecretStr | None = None
    """The same PEM itself."""
    signing_key_password: SecretStr | None = None
    """Where the key is encrypted."""
    builder_id: str = Field(default="https://so1s.dev/builder", pattern=r"^[a-z][a-z0-9+.-]*:\S+$")
    """The URI that provenance calls this builder by; say your own to tell several apart."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.signing_key and self.signing_key_file:
            raise ValueError("signing_key and signing_key_file: allowed: one of them")
        return self


class TrustSettings(ServiceSettings):
    """Whose models may run code of their own, in the builder's sandbox and in the replicas: nobody's."""

    user_code_accounts: Accounts = []
    """Accounts that may upload a `prepared.py`, such as `risk, fraud-lab`; `*` is all of them."""
    pickle_accounts: Accounts = []
    """Accounts whose pickles are read, written alike. Code in them is not seen by whoever uploads them."""
    code_without_sandbox: bool = False
    """Whether these may upload where no sandbox works, and what they upload runs as the builder itself."""


class SourceSettings(ServiceSettings):
    """Whose packages may come from elsewhere than as wheels of the operator's indexes: nobody's."""

    source_accounts: Accounts = []
    """Accounts whose packages are built from source where they have no wheel, such as `risk, fraud-lab`; `*`
    is all of them. To build one runs its author's code, in a sandbox of its own without a network."""
    package_urls: PackageUrls = []
    """Where packages may come from that requirements name by `NAME @ URL`, such as
    `https://files.example.org/wheels/, https://files.example.org/{account}/`: wheels, and sources where the
    account may have them."""
    source_seconds: float = Field(default=600, gt=0)
    """For all steps of building one package, on the clock: what it asks for, twice, and its wheel."""
    source_memory_mib: int = Field(default=4096, gt=0)
    """Address space of each of its processes, and memory of all together."""
    source_temporary_mib: int = Field(default=2048, gt=0)
    """What it may write, which is to memory, beside the above; and the most that one file may have."""
    source_processors: int = Field(default=4, gt=0)
    """Of one package's build, however many the machine has."""


class InstallSettings(ServiceSettings):
    """What locking and installing libraries may take, in the sandbox."""

    package_hosts: PackageHosts = []
    """Hosts that indexes send the installer to, such as `files.example.org, cdn.example.org:8443`, beside
    those of the indexes themselves and of the public index's files."""
    torch_cpu_index: Annotated[str, AfterValidator(_index)] | None = None
    """An index of PyTorch for the CPU alone, such as `https://download.pytorch.org/whl/cpu`: models that ask
    for no GPU get PyTorch from there, and nothing else."""
    install_seconds: float = Field(default=900, gt=0)
    """For each lock and each set of libraries, on the clock and of one processor: 3 GiB of CUDA's libraries
    at 5 MiB/s take 600 s."""
    install_memory_mib: int = Field(default=4096, gt=0)
    """Of memory, of all its processes together."""
    install_written_mib: int = Field(default=20_480, gt=0)
    """What it may write; PyTorch with CUDA's libraries has 5 GiB."""


class AuditSettings(ServiceSettings):
    """Who is asked for known vulnerabilities of an image's packages: nobody."""

    advisories_url: Annotated[str, AfterValidator(_server)] | None = None
    """A server with OSV's API, such as `https://api.osv.dev`, which learns the names of all packages."""
    advisories_refuse: bool = False
    """Whether a package with a known vulnerability fails a build, rather than warns; a server that is away
    puts builds off then."""

    @model_validator(mode="after")
    def _somebody_is_asked(self) -> Self:
        if self.advisories_refuse and self.advisories_url is None:
            raise ValueError("advisories_refuse: allowed: with an advisories_url that is asked")
        return self


class Settings(
    S3Settings,
    RegistrySettings,
    SigningSettings,
    TrustSettings,
    SourceSettings,
    InstallSettings,
    AuditSettings,
):
    """The settings of a builder."""

    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - settings are read, never written
    """An SQLAlchemy URL; a builder owns state, so it must be said."""
    artifact_prefixes: list[PrefixTemplate] = []
    """Where an account's artifacts may lie, as JSON: `["s3://models/{account}/"]`. Nowhere by default,
    so that nobody's disk is readable by accident."""
    image_dir: Path = Path(".so1s/images")
    """The OCI image layout. On the file system of the other two, layers are moved instead of copied."""
    build_dir: Path = Path(".so1s/builder")
    """Work in progress."""
    libraries_dir: Path = Path(".so1s/libraries")
    """The libraries of each format, installed once; several builders of one machine may share them."""
    prepared_formats: list[Format | OnGpu] = ["onnx", "skops"]
    """Whose libraries are made ready at the start, so that no upload waits for them; `onnx-gpu` and
    `xgboost-gpu` are those of these formats for GPUs."""
    workers: int = Field(default=2, ge=1, le=64)
    """Builds at once. A build waits on disk and network for half of its time."""
    builds_per_account: int = Field(default=4, ge=1)
    """Of one account at once, over all replicas: the other workers stay free for accounts that come later."""
    deadline_seconds: float = Field(default=1800, gt=0)
    """From a build's first start to its end, all tries included: 20 GiB at 20 MiB/s take 1000 s."""
    lease_seconds: float = Field(default=10, gt=0)
    """A worker that is silent for so long is taken to be dead, and another one starts its build again."""
    poll_seconds: float = Field(default=0.25, gt=0)
    """How often an idle worker looks for a build that nobody woke it for, as another replica recorded it."""
    log_retention_days: int = Field(default=30, ge=1)
    """How long the log of a build is kept after its last line. Images stay: the builder does not know which
    of them are in use."""
    disk_budget_bytes: int | None = Field(default=None, gt=0)
    """Of libraries, of wheels that only uv's cache holds, of layers that belong to no image and of work in
    progress, all together: above it, what was used least recently goes. Without it they go by age, and when a
    disk is full. Images do not count."""
    library_retention_days: int = Field(default=30, ge=2)
    """How long libraries are kept that no build asks for; the prepared ones are asked for every day."""
    max_artifact_bytes: int = Field(default=20 * 2**30, gt=0)
    """As uploaded; above the weights of most models that fit on one GPU."""
    max_unpacked_bytes: int = Field(default=40 * 2**30, gt=0)
    """Of all files of an artifact; what a model may use while it is tried grows with them."""
    max_files: int = Field(default=10_000, gt=0)
    max_archive_ratio: int = Field(default=200, gt=0)
    """Unpacked bytes for a byte of the archive. Weights rarely give 2, text 10, a bomb above 1000."""
    max_input_bytes: int = Field(default=INPUT_BYTES, gt=0, le=MOST_INPUT_BYTES)
    """What the inputs of one request may declare together by `max_bytes`: a server takes bodies of that size,
    up to 64 at once."""
    sandbox: Literal["auto", "bwrap", "none"] = "auto"
    """What models are tried and libraries installed in: bubblewrap, nothing, or bubblewrap if it works here.
    In a cluster say `bwrap`, so that a builder does not start without it."""
    inspect_seconds: float = Field(default=120, gt=0)
    """For loading a model and calling it once, outside of this process, and a second more for each 25 MiB of
    its files."""
    inspect_memory_mib: int = Field(default=8192, gt=0)
    """Address space of each of its processes, beside twice the size of its files; libraries reserve some GiB
    that they never touch. In the sandbox the memory of all its processes together, too."""
    inspect_temporary_mib: int = Field(default=1024, gt=0)
    """What it may write, in the sandbox, which is to memory."""
    inspect_processes: int = Field(default=512, gt=0)
    """In the sandbox; threads count, of which libraries start one for each processor."""
    inspect_processors: int = Field(default=4, gt=0)
    """In the sandbox; those of one model's check, however many the machine has."""
