"""What the files of sentence-transformers ask for, in the words of its releases."""

import json

import pytest

from so1s_runtime.errors import ModelError
from so1s_runtime.loaders.sentences import Embedding, embedding


def write(directory, *modules, pooling=None, settings=None):
    listed = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{module}",
            "type": f"sentence_transformers.models.{module}",
        }
        for index, module in enumerate(modules)
    ]
    (directory / "modules.json").write_text(json.dumps(listed))
    for each in listed[1:]:
        (directory / each["path"]).mkdir()
    (directory / "1_Pooling/config.json").write_text(json.dumps({"include_prompt": True} | (pooling or {})))
    (directory / "config_sentence_transformers.json").write_text(json.dumps(settings or {}))


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({}, "mean"),
    ],
    ids=str,
)
def test_the_pooling_is_read_as_old_and_new_releases_write_it(tmp_path, pooling, expected):
    write(tmp_path, "Transformer", "Pooling", "Normalize", pooling=pooling)
    assert embedding(tmp_path) == Embedding(expected, is_scaled=True)


def test_a_model_without_these_files_gives_the_mean_as_it_is(tmp_path):
    assert embedding(tmp_path) == Embedding("mean", is_scaled=False)


@pytest.mark.parametrize(
    ("pooling", "named"),
    [
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
        ({"pooling_mode": ["cls", "max"]}, "cls, max"),
        ({"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
    ],
    ids=str,
)
def test_other_pooling_is_refused_by_its_name(tmp_path, pooling, named):
    write(tmp_path, "Transformer", "Pooling", pooling=pooling)
    with pytest.raises(
        ModelError, match=f"1_Pooling/config.json says {named}; served: the mean, or the first"
    ):
        embedding(tmp_path)


@pytest.mark.parametrize("pooling", [{"pooling_mode": {"mean": True}}, {"pooling_mode": [3]}, []], ids=str)
def test_pooling_that_is_written_otherwise_is_refused_with_the_file(tmp_path, pooling):
    write(tmp_path, "Transformer", "Pooling", pooling={"pooling_mode": "cls"})
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps(pooling))
    with pytest.raises(ModelError, match=r"modules\.json, or what it names, is not as sentence-transformers"):
        embedding(tmp_path)


@pytest.mark.parametrize("modules", ['{"type": 1}', "[1]", "{", '[{"type": "x.Pooling"}]'])
def test_modules_that_are_written_otherwise_are_refused_with_the_file(tmp_path, modules):
    (tmp_path / "modules.json").write_text(modules)
    with pytest.raises(ModelError, match=r"modules\.json, or what it names, is not as sentence-transformers"):
        embedding(tmp_path)


def test_a_module_that_would_change_the_answer_is_refused_by_its_name(tmp_path):
    write(tmp_path, "Transformer", "Pooling", "Dense")
    with pytest.raises(
        ModelError, match=r"modules\.json says 'Dense'; served: Transformer, Pooling, Normalize"
    ):
        embedding(tmp_path)


def test_a_prompt_that_the_library_would_put_before_each_text_is_refused(tmp_path):
    prompts = {"query": "query: ", "document": ""}
    write(
        tmp_path, "Transformer", "Pooling", settings={"prompts": prompts, "default_prompt_name": "document"}
    )
    assert embedding(tmp_path) == Embedding()

    settings = tmp_path / "config_sentence_transformers.json"
    settings.write_text(json.dumps({"prompts": prompts, "default_prompt_name": "query"}))
    with pytest.raises(ModelError, match="to begin each text with 'query: ', which is not served: set"):
        embedding(tmp_path)
