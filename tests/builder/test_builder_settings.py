"""What a builder is told of its registry: wrong ones are named at the start."""

import pytest
from pydantic import SecretStr, ValidationError

from services.builder import app
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.images_registry import RegistryImages
from services.builder.settings import Settings

BASE = f"registry.example:5000/so1s/base@sha256:{'0' * 64}"
REGISTRY = "https://registry.example:5000/so1s/images"


def settings(**said) -> Settings:
    return Settings(database_url=SecretStr("sqlite://"), **said)


def test_one_setting_chooses_where_images_go(tmp_path):
    assert isinstance(app.make_images(settings(image_dir=tmp_path)), LayoutImages)
    in_registry = settings(image_registry=REGISTRY, base_image=BASE)
    assert isinstance(app.make_images(in_registry), RegistryImages)


@pytest.mark.parametrize(
    "url",
    [
        "registry.example/so1s",
        "https://registry.example",
        "https://user:secret@registry.example/so1s",
        "https://registry.example/So1s",
        "https://registry.example/so1s/",
        "ftp://registry.example/so1s",
    ],
)
def test_a_registry_is_a_url_with_a_prefix_and_no_password(url):
    with pytest.raises(ValidationError, match=r"allowed: https://HOST/PREFIX") as error:
        settings(image_registry=url, base_image=BASE)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("said", [{"image_registry": REGISTRY}, {"base_image": BASE}])
def test_a_registry_and_a_base_come_together(said):
    with pytest.raises(ValidationError, match="both or neither"):
        settings(**said)


@pytest.mark.parametrize("base", ["registry.example:5000/so1s/base:3.11", "so1s/base", "host"])
def test_a_base_is_pinned_by_its_digest(base):
    with pytest.raises(ValidationError, match="since a tag may move"):
        settings(image_registry=REGISTRY, base_image=base)


def test_a_base_lies_in_the_same_registry():
    with pytest.raises(ValidationError, match="an image in https://registry"):
        settings(image_registry=REGISTRY, base_image=BASE.replace("5000", "6000"))


def test_a_c_library_that_no_wheel_is_tagged_with_is_refused():
    with pytest.raises(ValidationError, match="base_glibc"):
        settings(base_glibc="2.29")
