"""Images of an OCI layout: unpacked once, checked, and refused where they are not for this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.deployer.adapters.processes.layout import ImageProblem, host_platform, remove_leftovers, unpack
from services.deployer.adapters.processes.scraper import served
from services.deployer.domain.readings import Reading
from so1s.events import Image
from tests.deployer.stand_in import Layout, tar


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "images")


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "unpacked"


def test_the_images_paths_become_those_of_its_layers(layout, directory):
    unpacked = unpack(layout.image("1").reference, directory)
    program, *_, model = unpacked.entrypoint
    assert program == "python"
    assert json.loads(Path(model, "model.json").read_text()) == {"version": "1"}
    runtime, dependencies = unpacked.environment["PYTHONPATH"].split(":")
    assert Path(runtime, "so1s_runtime/__main__.py").exists()
    assert Path(dependencies, "marker.py").exists()


def test_versions_share_the_layers_that_they_have_in_common(layout, directory):
    first = unpack(layout.image("1").reference, directory)
    second = unpack(layout.image("2").reference, directory)
    assert first.environment == second.environment
    assert first.entrypoint != second.entrypoint
    assert len(list(directory.iterdir())) == 4


def test_the_topmost_layer_wins_and_search_paths_name_all_of_them(layout, directory):
    below = layout.layer(tar({"opt/so1s/dependencies/a.py": b"", "opt/so1s/model/model.json": b"1"}), "")
    above = layout.layer(tar({"opt/so1s/dependencies/b.py": b"", "opt/so1s/model/model.json": b"2"}), "")
    unpacked = unpack(layout.write([below, above], host_platform()).reference, directory)
    assert Path(unpacked.entrypoint[-1], "model.json").read_text() == "2"
    places = [Path(place) for place in unpacked.environment["PYTHONPATH"].split(":")]
    assert [[path.name for path in place.iterdir()] for place in places] == [["b.py"], ["a.py"]]


def test_a_directory_of_several_layers_has_the_files_of_all_and_the_topmost_wins(layout, directory):
    weights = {"opt/so1s/model/files/model.onnx": b"weights", "opt/so1s/model/files/a.txt": b"below"}
    code = {"opt/so1s/model/files/a.txt": b"above", "opt/so1s/model/model.json": b"{}"}
    image = layout.write([layout.layer(tar(weights), ""), layout.layer(tar(code), "")], host_platform())
    model = Path(unpack(image.reference, directory).entrypoint[-1])
    found = {str(path.relative_to(model)): path.read_bytes() for path in model.rglob("*") if path.is_file()}
    assert found == {"files/model.onnx": b"weights", "files/a.txt": b"above", "model.json": b"{}"}
    assert unpack(image.reference, directory).entrypoint[-1] == str(model)


def test_an_image_of_another_platform_is_refused(layout, directory):
    with pytest.raises(ImageProblem, match="made for 'linux-riscv64-cp39'"):
        unpack(layout.image("1", platform="linux-riscv64-cp39").reference, directory)


@pytest.mark.parametrize(
    "reference", ["registry/fraud@sha256:1", "oci:@sha256:1", "oci:/nowhere", "oci:/x@md5:1"]
)
def test_a_reference_that_names_no_layout_is_refused(reference, directory):
    with pytest.raises(ImageProblem):
        unpack(reference, directory)


@pytest.mark.parametrize("part", ["manifest", "config", "layer"])
def test_broken_bytes_are_refused_and_nothing_of_them_stays(layout, directory, part):
    image = layout.image("1")
    manifest = json.loads(layout.path(image.digest).read_text())
    digests = {
        "manifest": image.digest,
        "config": manifest["config"]["digest"],
        "layer": manifest["layers"][2]["digest"],
    }
    path = layout.path(digests[part])
    changed = {
        "manifest": (b"image.layer", b"image.Layer"),
        "config": (b"host", b"Host"),
        "layer": (b'"1"', b'"2"'),
    }
    path.write_bytes(path.read_bytes().replace(*changed[part]))
    with pytest.raises(ImageProblem, match="is broken"):
        unpack(image.reference, directory)
    assert not (directory / digests[part].replace(":", "-")).exists()
    assert not list(directory.glob(".unpacking-*"))


@pytest.mark.parametrize("name", ["../outside", "/../outside", "opt/../../outside"])
def test_a_layer_that_leads_out_of_its_directory_is_refused(layout, directory, name):
    image = layout.write([layout.layer(tar({name: b"evil"}), "")], host_platform())
    with pytest.raises(ImageProblem):
        unpack(image.reference, directory)
    assert not (directory.parent / "outside").exists()


def test_a_path_that_no_layer_has_is_refused(layout, directory):
    image = layout.write([layout.layer(tar({"opt/other": b""}), "")], host_platform())
    with pytest.raises(ImageProblem, match="no layer of the image has /opt/so1s/model"):
        unpack(image.reference, directory)


def test_what_a_crash_left_half_unpacked_is_removed(directory):
    left = directory / ".unpacking-abc"
    left.mkdir(parents=True)
    remove_leftovers(directory)
    assert not left.exists()


def test_an_index_is_no_image(layout, directory):
    blob = layout.blob(b'{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}')
    image = Image(reference=f"oci:{layout.root}@{blob['digest']}", digest=blob["digest"], size_bytes=0)
    with pytest.raises(ImageProblem, match="no image manifest"):
        unpack(image.reference, directory)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_predictions_are_counted_and_other_requests_are_not(plain, inferred, probes, waiting):
    text = (
        f'http_requests_total{{route="/predict",status="200"}} {plain}\n'
        f'http_requests_total{{route="/v2/models/{{name}}/infer",status="500"}} {inferred}\n'
        f'http_requests_total{{route="/v2/health/ready",status="200"}} {probes}\n'
        f'http_request_duration_seconds_bucket{{route="/predict",le="0.1"}} {plain}\n'
        f'http_request_duration_seconds_bucket{{route="/predict",le="+Inf"}} {plain}\n'
        f"http_requests_in_flight {waiting}\n"
    )
    reading = served(Reading(at=0.0, process=7), text)
    assert reading.requests == plain + inferred
    assert reading.seconds_buckets == {0.1: plain, float("inf"): plain}
    assert reading.in_flight == waiting
