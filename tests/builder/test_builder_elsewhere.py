"""Who may have packages from source and from URLs, from an upload to its image or to the reason."""

import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.source_builder import SourceBounds, SourceBuilder
from services.builder.adapters.uv_enclosed import EnclosedUv, InstallBounds
from services.builder.app import make_disk, make_images, make_world
from services.builder.domain.failure import BuildError
from services.builder.domain.permission import Permissions
from services.builder.settings import Settings
from so1s.events import BuildFailed, ImageBuilt
from so1s.requirements import Requirements
from tests.builder.sources import index_of, sdist
from tests.builder.test_builder_installing import PYTHON, served
from tests.served_images import built as build
from tests.served_images import unpacked

DESCRIBED = """\
schema: so1s/v1
inputs: [{name: x, dtype: float64, shape: [-1, 4]}]
outputs: [{name: label, dtype: int64, shape: [-1]}]
"""
CODE = "def load_artifacts(): ...\ndef run(artifacts, input): ...\n"
WHEEL_URL = "https://files.example.org/risk/tiny-1.0-py3-none-any.whl"
SOURCE_URL = "https://files.example.org/risk/tiny-1.0.tar.gz"


def archive(requirements: str, code: str = CODE) -> bytes:
    """An upload of user code that asks for these."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for name, content in {
            "prepared.py": code,
            "so1s.yaml": DESCRIBED,
            "requirements.txt": requirements,
        }.items():
            made.writestr(name, content)
    return data.getvalue()


@pytest.fixture
def enclosed(sandbox, tmp_path, shop, monkeypatch):
    """Makes the shop's libraries real ones, of the public index and of one more."""

    def enclosed(index: str) -> UvDependencies:
        monkeypatch.setenv("UV_INDEX", f"{index}/simple")
        uv = EnclosedUv(sandbox, InstallBounds(seconds=300), [])
        sources = SourceBuilder(sandbox, uv, SourceBounds(), PYTHON, None)
        return UvDependencies(
            tmp_path / "libraries",
            shop.world.images,
            python=PYTHON,
            platform="linux-x86_64-cp311",
            uv=uv,
            sources=sources,
        )

    return enclosed


async def ended(shop, requirements: str) -> ImageBuilt | BuildFailed:
    """How an upload of the account `risk` ends."""
    await shop.say(shop.uploaded(data=archive(requirements), name="3.zip"))
    await shop.worker().work()
    (event,) = [each for each in await shop.emitted() if isinstance(each, (ImageBuilt, BuildFailed))]
    return event


@pytest.mark.usefixtures("sandbox")
async def test_a_package_from_source_is_in_the_image_of_an_account_that_may_have_it(tmp_path, monkeypatch):
    code = """
import numpy as np
import so1stiny
def load_artifacts(): return so1stiny.ANSWER
def run(artifacts, input): return {"label": np.full(len(input["x"]), artifacts)}
"""
    allowed = {"user_code_accounts": ["risk"], "source_accounts": ["risk"]}
    async with served(index_of({"so1stiny-1.0.tar.gz": sdist("so1stiny")})) as index:
        monkeypatch.setenv("UV_INDEX", f"{index.url}/simple")
        *_steps, image = await build(
            tmp_path, "3.zip", archive("so1stiny\n", code), "own", sandbox="bwrap", **allowed
        )

    assert isinstance(image, ImageBuilt), image
    unpacked(tmp_path / "images", image.image.digest, tmp_path / "root")
    assert (tmp_path / "root/opt/so1s/dependencies/so1stiny.py").read_text() == "ANSWER = 42\n"


async def test_a_build_tells_in_its_log_what_was_built_from_source(shop, enclosed):
    async with served(index_of({"so1stiny-1.0.tar.gz": sdist("so1stiny")})) as index:
        allowed = Permissions(user_code=["risk"], sources=["risk"])
        shop.world = replace(shop.world, permissions=allowed, dependencies=enclosed(index.url))
        assert isinstance(await ended(shop, "so1stiny\n"), ImageBuilt)

    assert any("so1stiny==1.0 is built from source" in line for line in await shop.log())


async def test_a_package_from_source_fails_the_build_of_every_other_account_with_line_and_setting(
    shop, enclosed
):
    async with served(index_of({"so1stiny-1.0.tar.gz": sdist("so1stiny")})) as index:
        others = Permissions(user_code=["*"], sources=["fraud-lab"])
        shop.world = replace(shop.world, permissions=others, dependencies=enclosed(index.url))
        failed = await ended(shop, "# mine\nso1stiny\n")

    assert isinstance(failed, BuildFailed)
    assert (failed.reason, failed.step) == ("dependencies", "dependencies")
    assert "so1stiny (requirements.txt line 2)" in failed.message
    assert "SO1S_SOURCE_ACCOUNTS" in failed.message
    assert "fraud-lab" not in failed.message


async def test_a_source_that_wants_a_compiler_says_so_with_the_name_of_the_package(shop, enclosed):
    source = sdist(
        "so1stiny",
        tools=["setuptools>=77"],
        files={
            "own.py": "import os\nos.environ['CC'] = 'no-such-gcc'\nfrom setuptools.build_meta import *\n",
            "setup.py": "from setuptools import Extension, setup\n"
            "setup(name='so1stiny', version='1.0', ext_modules=[Extension('so1stiny', ['tiny.c'])])\n",
            "tiny.c": "int answer;\n",
        },
    )
    async with served(index_of({"so1stiny-1.0.tar.gz": source})) as index:
        allowed = Permissions(user_code=["risk"], sources=["*"])
        shop.world = replace(shop.world, permissions=allowed, dependencies=enclosed(index.url))
        failed = await ended(shop, "so1stiny\n")

    assert isinstance(failed, BuildFailed)
    assert "so1stiny==1.0 cannot be built from source: " in failed.message
    assert "'no-such-gcc'" in failed.message
    log = await shop.log()
    assert any("hint: so1stiny==1.0 has parts that a compiler builds" in line for line in log)


async def test_a_url_that_nobody_allowed_is_a_failed_build_before_anything_is_fetched(shop):
    shop.world = replace(shop.world, permissions=Permissions(user_code=["risk"]))
    failed = await ended(shop, f"\ntiny @ {WHEEL_URL}\n")

    assert isinstance(failed, BuildFailed)
    assert (failed.reason, failed.step) == ("dependencies", "inspect")
    assert (
        f"requirements.txt line 2: tiny @ {WHEEL_URL} is not allowed; allowed: packages of the"
        in failed.message
    )
    assert "SO1S_PACKAGE_URLS" in failed.message


@pytest.mark.parametrize(
    ("sources", "urls", "asked", "said"),
    [
        ([], ["https://files.example.org/"], WHEEL_URL, None),
        ([], ["https://files.example.org/{account}/"], WHEEL_URL, None),
        ([], ["https://other.example.org/", "https://files.example.org/risk/"], WHEEL_URL, None),
        (
            [],
            [],
            WHEEL_URL,
            "allowed: packages of the index alone, as the builder's setting SO1S_PACKAGE_URLS",
        ),
        (
            [],
            ["https://files.example.org/wheels/"],
            WHEEL_URL,
            "what lies below https://files.example.org/wheels/,",
        ),
        ([], ["https://files.example.org:8443/"], WHEEL_URL, "SO1S_PACKAGE_URLS"),
        ([], ["https://files.example.org/"], SOURCE_URL, "allowed: a wheel, .*SO1S_SOURCE_ACCOUNTS .*risk"),
        (["fraud-lab"], ["https://files.example.org/"], SOURCE_URL, "allowed: a wheel, "),
        (["risk"], ["https://files.example.org/"], SOURCE_URL, None),
        (["*"], [], SOURCE_URL, "SO1S_PACKAGE_URLS"),
    ],
)
def test_a_url_is_allowed_by_its_prefix_and_a_source_by_its_account_too(sources, urls, asked, said):
    requirements = Requirements.parse(f"tiny @ {asked}".encode())
    permissions = Permissions(sources=sources, urls=urls)
    if said is None:
        permissions.require_directs(requirements, "risk")
        return
    with pytest.raises(
        BuildError, match=rf"requirements\.txt line 1: tiny @ .* is not allowed; .*{said}"
    ) as error:
        permissions.require_directs(requirements, "risk")
    assert error.value.reason == "dependencies"


def test_what_is_another_accounts_is_not_allowed():
    requirements = Requirements.parse(f"tiny @ {WHEEL_URL}".encode())
    permissions = Permissions(urls=["https://files.example.org/{account}/"])
    with pytest.raises(BuildError, match=r"allowed: what lies below https://files\.example\.org/fraud-lab/"):
        permissions.require_directs(requirements, "fraud-lab")


# --- settings


@pytest.mark.parametrize(
    ("said", "urls"),
    [
        ("", []),
        ("https://a.example.org/", ["https://a.example.org/"]),
        (
            "https://a.example.org:8443/w/, https://b.example.org/{account}/",
            ["https://a.example.org:8443/w/", "https://b.example.org/{account}/"],
        ),
    ],
)
def test_urls_are_read_as_people_write_them(monkeypatch, said, urls):
    monkeypatch.setenv("SO1S_PACKAGE_URLS", said)
    monkeypatch.setenv("SO1S_SOURCE_ACCOUNTS", "risk, fraud-lab")
    monkeypatch.setenv("SO1S_DATABASE_URL", "sqlite://")
    settings = Settings()
    assert (settings.package_urls, settings.source_accounts) == (urls, ["risk", "fraud-lab"])


@pytest.mark.parametrize(
    "said",
    [
        "http://a.example.org/",
        "https://a.example.org",
        "https://a.example.org/w",
        "https://u:p@a.example.org/",
        "https://A.example.org/",
        "https://a.example.org/x/../",
        "https://a.example.org/?x/",
        "https://a.example.org/#/",
        "https:///w/",
        "https://{account}.example.org/",
        "https://a.example.org/{model}/",
        "https://a.example.org/{/",
        "https://a.example.org:x/",
        "file:///w/",
        "*",
    ],
)
def test_what_is_no_place_of_packages_is_refused_at_the_start(said):
    with pytest.raises(ValidationError, match="allowed: https://HOST/…/"):
        Settings(database_url=SecretStr("sqlite://"), package_urls=[said])


def test_nothing_is_allowed_unless_it_is_said(tmp_path):
    settings = Settings(
        database_url=SecretStr("sqlite://"),
        build_dir=tmp_path / "builder",
        image_dir=tmp_path / "images",
        libraries_dir=tmp_path / "libraries",
    )
    permissions = make_world(settings).permissions
    assert (permissions.sources, permissions.urls) == ([], [])


async def test_wheels_that_were_made_here_leave_a_disk_above_its_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    home = tmp_path / "libraries/wheels" / ("a" * 64)
    home.mkdir(parents=True)
    (home / "tiny-1.0-py3-none-any.whl").write_bytes(os.urandom(200_000))
    (home / "installed").touch()
    os.utime(home, (0, 0))
    settings = Settings(
        database_url=SecretStr("sqlite://"),
        build_dir=tmp_path / "builder",
        image_dir=tmp_path / "images",
        libraries_dir=tmp_path / "libraries",
        disk_budget_bytes=100_000,
    )
    await make_disk(settings, make_images(settings)).keep_budget()
    assert not home.exists()


# --- the same source, the same layer


BUILD = """
import asyncio, json, sys
from pathlib import Path
from services.builder.adapters import bubblewrap
from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.source_builder import SourceBounds, SourceBuilder
from services.builder.adapters.uv_enclosed import EnclosedUv, InstallBounds
from services.builder.domain.lock import Lock
from so1s.requirements import Requirements

async def build(directory):
    python = Path(sys._base_executable)
    sandbox, _why = bubblewrap.find("bwrap", python)
    uv = EnclosedUv(sandbox, InstallBounds(), [])
    libraries = UvDependencies(
        directory / "libraries", LayoutImages(directory / "images"), python=python,
        platform="linux-x86_64-cp311", uv=uv,
        sources=SourceBuilder(sandbox, uv, SourceBounds(), python, None),
    )
    log = lambda line: print(line, file=sys.stderr)
    lock = await libraries.lock(Requirements.parse(b"so1stiny"), [], Lock("nothing", ""), log, builds=True)
    return [lock.sha256, (await libraries.provide(lock, log)).layer.digest]

print(json.dumps(asyncio.run(build(Path(sys.argv[1])))))
"""
LOOKS_AROUND = """
import os, time
from setuptools.build_meta import *
from setuptools.build_meta import build_wheel as build
def build_wheel(directory, settings=None, metadata=None):
    found = [
        os.getcwd(), os.umask(0o022), dict(os.environ), os.uname().nodename, os.listdir("."), time.tzname,
        list({str(number) for number in range(50)}), [os.stat(path).st_mtime for path in os.listdir(".")],
    ]
    open("so1stiny.py", "w").write(f"FOUND = {found!r}\\n")
    return build(directory, settings, metadata)
"""


def built(directory: Path, url: str, *, umask: int, **environment: str) -> list[str]:
    """The hash of the lock, and the digest of the layer, as a process of its own makes them."""
    directory.mkdir(parents=True)
    said = {"UV_INDEX": f"{url}/simple", "UV_CACHE_DIR": str(directory / "cache"), **environment}
    command = [sys.executable, "-c", BUILD, str(directory)]
    return json.loads(subprocess.check_output(command, env=os.environ | said, umask=umask, text=True))


@pytest.mark.usefixtures("sandbox")
async def test_a_layer_of_a_package_from_source_is_the_same_whoever_builds_it(tmp_path):
    compiled = ", ext_modules=[Extension('so1stiny_c', ['tiny.c'])]" if shutil.which("cc") else ""
    source = sdist(
        "so1stiny",
        tools=["setuptools==80.9.0"],
        files={
            "own.py": LOOKS_AROUND,
            "setup.py": "from setuptools import Extension, setup\n"
            f"setup(name='so1stiny', version='1.0', py_modules=['so1stiny']{compiled})\n",
            "tiny.c": "const char *where = __FILE__ __DATE__ __TIME__;\nint PyInit_so1stiny_c;\n",
        },
    )
    ours = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "1"}
    theirs = {
        "LC_ALL": "C",
        "TZ": "Asia/Seoul",
        "PYTHONHASHSEED": "7",
        "CFLAGS": "-O0",
        "HOME": str(tmp_path),
    }
    async with served(index_of({"so1stiny-1.0.tar.gz": source})) as index:
        one = await asyncio.to_thread(built, tmp_path / "one", index.url, umask=0o022, **ours)
        other = await asyncio.to_thread(built, tmp_path / "another/place", index.url, umask=0o002, **theirs)

    assert other == one
