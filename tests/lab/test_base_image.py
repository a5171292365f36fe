"""The base of Debian packages: pinned, and the same wherever it is made."""

import os

import pytest

from deploy.images import base


def test_packages_that_differ_from_the_lock_are_named(tmp_path):
    lock = tmp_path / "base.amd64.lock"
    lock.write_text("bash 5.2\ndash 0.5\n")
    base.require_locked({"bash": "5.2", "dash": "0.5"}, lock)

    with pytest.raises(base.RecipeError, match=r"dash 0\.5 → absent, zlib absent → 1\.2; .*--update-lock"):
        base.require_locked({"bash": "5.2", "zlib": "1.2"}, lock)


def test_the_same_packages_give_the_same_digest_whatever_the_environment(base_image, tmp_path, monkeypatch):
    """Scripts of packages run Python, which leaves bytecode unless it is told not to."""
    written = {"": "1", "1": ""}[os.environ.get("PYTHONDONTWRITEBYTECODE", "")]
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", written)
    monkeypatch.setenv("TZ", "Asia/Seoul")
    assert base.build(tmp_path / "again") == base_image.partition("@")[2]


def test_every_package_that_the_recipe_asks_for_is_locked():
    locked = {line.split()[0] for line in base.lock_file().read_text().splitlines()}
    assert set(base.PACKAGES) <= locked
