"""Who mistypes a field's name is shown the names that may stand there."""

import pytest

from so1s.errors import InvalidInput
from so1s.events import ModelUploaded
from so1s.modelfile import ModelFile
from so1s.validation import checked
from so1s_local.settings import LocalSettings
from so1s_local.settings import load as load_local

UPLOADED = {
    "account": "risk",
    "model": "fraud",
    "version": "3",
    "artifact": {"uri": "s3://ml/risk/fraud/3.skops"},
}


def problems(call, *arguments, **said) -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        call(*arguments, **said)
    return [str(problem) for problem in raised.value.problems]


def test_a_field_that_an_event_does_not_have_is_answered_with_those_it_has():
    (problem,) = problems(checked, ModelUploaded, **UPLOADED, modle="fraud")
    known = ", ".join(ModelUploaded.model_fields)
    assert problem == f"modle: 'fraud' is not allowed; no field has this name; allowed: {known}"


@pytest.mark.parametrize(
    ("said", "place", "some"),
    [
        ({"artifact": {"uri": "s3://a/risk/b", "size": 1}}, "artifact.size", "uri, sha256, size_bytes"),
        ({"deploy": {"scaling": {"replicas": 2}}}, "deploy.scaling.replicas", "min_replicas, max_replicas"),
        ({"alerts": [{"availability": 0.9}]}, "alerts.0.availability", "availability_below"),
    ],
)
def test_the_names_are_those_of_the_place(said, place, some):
    (problem,) = problems(checked, ModelUploaded, **UPLOADED | said)
    assert problem.startswith(f"{place}: ")
    assert some in problem
    assert "lineage" not in problem


@pytest.mark.parametrize(
    ("line", "place", "names"),
    [
        ("framework: skops", "framework: 'skops'", "schema, format, file, inputs"),
        ("deploy: {endpont: x}", "deploy.endpont: 'x'", "deployment, endpoint"),
        ("inputs: [{name: x, dtype: bool, shape: [1], size: 1}]", "inputs.0.size: 1", "name, dtype, shape"),
    ],
)
def test_so1s_yaml_is_told_its_names_as_it_writes_them(line, place, names):
    (problem,) = problems(ModelFile.parse, f"schema: so1s/v1\n{line}".encode())
    assert problem.startswith(f"{place} is not allowed; no field has this name; allowed: {names}")


def test_settings_of_a_laptop_are_told_theirs(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text('acount = "risk"')
    said = problems(load_local, path)
    known = ", ".join(LocalSettings.model_fields)
    assert f"acount: 'risk' is not allowed; no field has this name; allowed: {known}" in said
