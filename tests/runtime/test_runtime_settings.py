"""Settings come from flags and the environment, and are refused all at once."""

import pytest

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import Batching, Manifest, Signature, TensorSpec
from so1s_runtime.settings import Settings, read, told_by


def test_a_flag_wins_over_the_environment_and_both_over_the_default(tmp_path):
    environment = {
        "SO1S_RUNTIME_PORT": "9000",
        "SO1S_RUNTIME_DRAIN_SECONDS": "1.5",
        "SO1S_RUNTIME_ACCESS_LOG": "true",
    }
    settings = read(["--model-dir", str(tmp_path), "--port", "8000"], environment)
    assert (settings.port, settings.drain_seconds, settings.access_log) == (8000, 1.5, True)
    assert settings.host == "127.0.0.1"


def test_a_bare_switch_is_on(tmp_path):
    assert read(["--model-dir", str(tmp_path), "--port", "80", "--access-log"], {}).access_log


def test_every_problem_is_told_at_once(capsys):
    with pytest.raises(SystemExit) as caught:
        read(
            ["--model-dir", "/nowhere", "--port", "0", "--request-seconds", "soon"],
            {"SO1S_RUNTIME_WORKERS": "0"},
        )
    assert caught.value.code == 2
    message = capsys.readouterr().err
    for problem in (
        "--model-dir must be a directory, is '/nowhere'",
        "--port must be a whole number from 1 to 65535, is '0'",
        "--request-seconds must be a number from 0 to 86400, is 'soon'",
        "--workers must be a whole number from 1 to 256, is '0'",
    ):
        assert problem in message


@pytest.mark.parametrize(
    "url",
    [
        "https://u:hunter2@host/",
        "https://hunter2@host/",
        "http://u:hunter2@",
        "http://h:hunter2/",
        "http://h/ hunter2",
    ],
)
def test_a_sink_with_a_password_is_refused_and_not_repeated(url, tmp_path, capsys):
    with pytest.raises(SystemExit):
        read(["--model-dir", str(tmp_path), "--port", "80", "--payload-sink", url], {})
    message = capsys.readouterr().err
    assert "--payload-sink must be" in message
    assert "without a user or password" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("url", ["file:///spans", "http://u:hunter2@host/"])
def test_a_collector_of_traces_is_a_server_without_a_password(url, tmp_path, capsys):
    with pytest.raises(SystemExit):
        read(["--model-dir", str(tmp_path), "--port", "80", "--trace-collector", url], {})
    message = capsys.readouterr().err
    assert "--trace-collector must be http://HOST/PATH or https://HOST/PATH" in message
    assert "hunter2" not in message


def test_what_an_author_says_of_batching_is_heeded_and_the_rest_stays(tmp_path):
    settings = Settings(model_dir=tmp_path, port=1, batch_rows=32, batch_delay_ms=5.0)
    spec = TensorSpec("x", DTYPES["float64"], (-1,))
    signature = Signature((spec,), (spec,))
    said = {"name": "m", "version": "1", "format": "onnx", "file": "f", "signature": signature}
    assert told_by(Manifest(**said), settings) == settings
    told = told_by(Manifest(**said, batching=Batching(max_rows=64)), settings)
    assert (told.batch_rows, told.batch_delay_ms) == (64, 5.0)
    told = told_by(Manifest(**said, batching=Batching(max_delay_ms=0)), settings)
    assert (told.batch_rows, told.batch_delay_ms) == (32, 0)


def test_the_needed_settings_are_named(capsys):
    with pytest.raises(SystemExit):
        read([], {})
    assert "--model-dir is needed; --port is needed" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_a_time_that_is_none_is_refused(value, tmp_path, capsys):
    with pytest.raises(SystemExit):
        read(["--model-dir", str(tmp_path), "--port", "80", f"--drain-seconds={value}"], {})
    assert "--drain-seconds must be" in capsys.readouterr().err
