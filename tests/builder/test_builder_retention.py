"""Old files of builds go; recent ones stay."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.builder.app import make_retention
from services.builder.settings import Settings

DAY = 86_400


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(
        database_url=SecretStr("sqlite://"),
        build_dir=tmp_path / "builder",
        image_dir=tmp_path / "images",
        libraries_dir=tmp_path / "libraries",
    )


async def test_wheels_that_were_made_here_are_kept_as_long_as_libraries(settings, aged):
    old, recent = (
        aged(f"libraries/wheels/{each * 64}/", days * DAY) for each, days in (("a", 31), ("b", 29))
    )
    left = aged("libraries/wheels/fetching-x/", DAY)
    await make_retention(settings).prune()
    assert [each.exists() for each in (old, recent, left)] == [False, True, False]


@pytest.fixture
def aged(tmp_path):
    """Makes a file, or a directory with one, that was changed last so many seconds ago."""

    def make(path: str, seconds: float) -> Path:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            target.mkdir()
            (target / "file").touch()
        else:
            target.touch()
        at = target.stat().st_mtime - seconds
        os.utime(target, (at, at))
        return target

    return make


@pytest.mark.parametrize(
    "path",
    [
        "builder/work/builder-7_0/",
        "builder/inspectors/builder-7/",
        "libraries/installing-x/",
        "libraries/removed-x/",
        "images/blobs/sha256/.tmp1",
    ],
)
async def test_what_killed_workers_left_goes_when_no_build_can_be_so_old(settings, aged, path):
    in_progress = aged(path, settings.deadline_seconds)
    await make_retention(settings).prune()
    assert in_progress.exists()

    os.utime(in_progress, (0, 0))
    await make_retention(settings).prune()
    assert not in_progress.exists()


async def test_the_directory_of_a_builder_that_lives_stays_however_long_it_started_nothing(settings, aged):
    live = aged(f"builder/inspectors/{settings.instance}/", 9999 * DAY)

    await make_retention(settings).prune()

    assert live.exists()


async def test_libraries_that_no_build_asks_for_go(settings, aged):
    unused = aged(f"libraries/{'a' * 64}/", settings.library_retention_days * DAY + 60)
    used = aged(f"libraries/{'b' * 64}/", settings.library_retention_days * DAY - 60)

    await make_retention(settings).prune()

    assert [each.name for each in settings.libraries_dir.iterdir()] == [used.name]
    assert not unused.exists()


async def test_locks_of_requirements_that_no_build_asks_for_go(settings, aged):
    unused = aged(f"libraries/locks/{'a' * 64}.txt", settings.library_retention_days * DAY + 60)
    used = aged(f"libraries/locks/{'b' * 64}.txt", settings.library_retention_days * DAY - 60)

    await make_retention(settings).prune()

    assert used.exists()
    assert not unused.exists()


async def test_images_stay_however_old_they_are(settings, aged):
    blob = aged(f"images/blobs/sha256/{'a' * 64}", 9999 * DAY)

    await make_retention(settings).prune()

    assert blob.exists()
