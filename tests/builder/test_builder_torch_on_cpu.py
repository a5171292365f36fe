"""PyTorch for the CPU alone, from an index that the builder's operator names.

A stand-in of a few bytes is served: PyTorch's own index cannot be reached from everywhere, and has 200 MB.
"""

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.source_builder import SourceBounds, SourceBuilder
from services.builder.adapters.uv_enclosed import EnclosedUv, InstallBounds
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock
from services.builder.domain.made import Package
from services.builder.locks import shipped
from services.builder.packages import runtime_needs
from services.builder.settings import Settings
from so1s.events import ImageBuilt
from so1s.requirements import Requirements
from tests.builder.sources import index_of, sdist
from tests.builder.test_builder_gpus import asking, libraries
from tests.builder.test_builder_installing import PYTHON, Web, file_name, link_to, served, wheel
from tests.builder.test_builder_large_formats import PROGRAM, zipped
from tests.builder.test_builder_user_code import ALLOWED, archive

CUDA = ("nvidia", "cuda", "triton")
VERSION = dict(shipped("torch").hashes.keys())["torch"]


def released(name: str, version: str, *needs: str) -> dict[str, bytes]:
    """The pages of an index that has one version of a library."""
    data = wheel(name, version=version, needs=needs)
    return {
        f"/simple/{name}/": link_to(name, data, version=version),
        f"/files/{file_name(name, version)}": data,
    }


@pytest.fixture
async def index() -> AsyncIterator[Web]:
    """Has PyTorch for the CPU, in the version that is shipped, and other libraries of the same names."""
    strangers = released("numpy", "99.0") | released("filelock", "99.0")
    files = released("torch", f"{VERSION}+cpu", "filelock", "numpy") | strangers
    async with served(files) as web:
        yield web


def versions(lock) -> dict[str, str]:
    return dict(lock.hashes.keys())


def source(
    directory: Path, index: str | None, uv: EnclosedUv | None = None, builder: SourceBuilder | None = None
) -> UvDependencies:
    return UvDependencies(
        directory / "libraries",
        LayoutImages(directory / "images"),
        python=PYTHON,
        platform="linux-x86_64-cp311",
        uv=uv,
        sources=builder,
        torch_cpu_index=index,
    )


async def test_pytorch_for_the_cpu_takes_the_place_of_the_one_with_cuda_beside_the_same_libraries(
    tmp_path, index
):
    whole = shipped("torch")

    lock = await source(tmp_path, f"{index.url}/simple").on_cpu(whole, runtime_needs(["torch"]), print)

    assert lock.hashes.keys() - whole.hashes.keys() == {("torch", f"{VERSION}+cpu")}
    assert {"filelock", "numpy", "uvicorn"} < versions(lock).keys()
    assert not [name for name in versions(lock) if name.startswith(CUDA)]


@pytest.mark.parametrize(("version", "taken"), [(VERSION, VERSION), (f"{VERSION}+cpu", f"{VERSION}+cpu")])
async def test_hashes_in_requirements_name_pypis_files_unless_the_version_is_one_for_the_cpu(
    tmp_path, index, version, taken
):
    cpu = hashlib.sha256(index.files[f"/files/{file_name('torch', f'{VERSION}+cpu')}"]).hexdigest()
    pypi = shipped("torch").hashes["torch", VERSION][0]
    asked = Requirements.parse(f"torch=={version} --hash=sha256:{pypi} --hash=sha256:{cpu}".encode())

    packages = source(tmp_path, f"{index.url}/simple")
    lock = await packages.lock(asked, (), shipped("torch"), print, on_cpu=True)

    assert versions(lock)["torch"] == taken


async def test_a_package_that_is_built_from_source_has_it_beside_it(tmp_path, index, sandbox, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    torch_index = f"{index.url}/simple"
    uv = EnclosedUv(sandbox, InstallBounds(), (), [torch_index])
    builder = SourceBuilder(sandbox, uv, SourceBounds(), PYTHON, None)
    packages = source(tmp_path, torch_index, uv, builder)
    others = {file_name(name): wheel(name) for name in ("filelock", "numpy")}
    asked = Requirements.parse(b"tiny\ntorch")

    async with served(index_of(others | {"tiny-1.0.tar.gz": sdist("tiny", needs=["torch"])})) as web:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{web.url}/simple")
        lock = await packages.lock(asked, (), Lock("nothing", ""), print, builds=True, on_cpu=True)
        tools = await packages.install(lock, print)

    assert [each.pin for each in lock.origins] == ["tiny==1.0"]
    assert versions(lock) == {"filelock": "1.0", "numpy": "1.0", "tiny": "1.0", "torch": f"{VERSION}+cpu"}
    assert {"tiny.py", "torch.py"} <= {each.name for each in tools.site_packages.iterdir()}


async def test_an_index_without_the_shipped_version_is_a_failed_build_that_names_it(tmp_path):
    async with served(released("torch", "2.0.0+cpu")) as index:
        packages = source(tmp_path, f"{index.url}/simple")
        with pytest.raises(BuildError, match=f"torch for the CPU cannot be satisfied: .*torch=={VERSION}"):
            await packages.on_cpu(shipped("torch"), ("filelock",), print)


async def test_the_password_of_that_index_is_uvs_own(tmp_path, index, monkeypatch):
    monkeypatch.setenv("UV_INDEX_TORCH_CPU_USERNAME", "me")
    monkeypatch.setenv("UV_INDEX_TORCH_CPU_PASSWORD", "hunter2")

    await source(tmp_path, f"{index.url}/simple").on_cpu(shipped("torch"), ("filelock",), print)

    assert base64.b64encode(b"me:hunter2").decode() in "".join(index.asked)


@pytest.mark.parametrize(
    ("gpus", "taken"), [(None, "torch for the CPU"), (0, "torch for the CPU"), (1, "torch")]
)
async def test_a_model_of_pytorch_has_it_for_the_cpu_unless_its_upload_asks_for_a_gpu(shop, gpus, taken):
    await shop.say(shop.uploaded(data=zipped(PROGRAM), name="3.pt2", deploy=asking(gpus)))
    await shop.worker().work()

    assert isinstance((await shop.emitted())[-1], ImageBuilt)
    assert await libraries(shop) == taken


@pytest.mark.parametrize(("gpus", "taken"), [(None, "requirements.txt for the CPU"), (1, "requirements.txt")])
async def test_user_code_has_it_for_the_cpu_unless_its_upload_asks_for_a_gpu(shop, gpus, taken):
    shop.world = replace(shop.world, permissions=ALLOWED)
    data = archive(requirements_txt="torch\n")
    await shop.say(shop.uploaded(data=data, name="3.zip", deploy=asking(gpus)))
    await shop.worker().work()

    assert await libraries(shop) == taken


@pytest.mark.parametrize(
    "url", ["download.pytorch.org/whl/cpu", "file:///whl", "https://me:hunter2@example.org/whl", "https://"]
)
def test_what_is_no_index_is_refused_at_the_start(url):
    with pytest.raises(ValidationError, match="allowed: https://HOST/PATH") as error:
        Settings(database_url=SecretStr("sqlite://"), torch_cpu_index=url)
    assert "hunter2" not in str(error.value)


def test_a_bill_of_materials_writes_such_a_version_as_package_urls_do():
    assert Package("torch", "2.15.0+cpu", (), None).purl == "pkg:pypi/torch@2.15.0%2Bcpu"
