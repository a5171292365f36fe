"""On a machine with a GPU, and without: what the loaders ask of their libraries. No real GPU is needed."""

import logging

import numpy as np
import onnxruntime as ort
import pytest
import xgboost
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from so1s_runtime import gpu
from so1s_runtime.loaders import loader

IRIS = load_iris()
ROWS = IRIS.data.astype(np.float32)
NONE_SEEN = "the image has libraries for a GPU and none is seen: the model runs on the CPU"


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """A directory in place of /dev, without a GPU."""
    monkeypatch.setattr(gpu, "DEVICES", tmp_path / "dev")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpu.DEVICES.mkdir()
    for name in ("null", "nvidiactl", "nvidia-uvm"):
        (gpu.DEVICES / name).touch()
    return gpu.DEVICES


@pytest.fixture
def with_gpu(devices):
    (devices / "nvidia3").touch()


def test_a_gpu_is_seen_by_its_device_whatever_its_number(devices):
    assert not gpu.seen()
    (devices / "nvidia3").touch()
    assert gpu.seen()


@pytest.mark.parametrize(("value", "seen"), [("", False), ("-1", False), ("0", True)])
def test_a_gpu_that_is_hidden_from_cuda_is_not_seen(with_gpu, monkeypatch, value, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert gpu.seen() is seen


# --- ONNX


class Runtime:
    """An onnxruntime with providers of a test's choice; what it is asked for, it computes on the CPU."""

    def __init__(self, monkeypatch, providers: list[str]) -> None:
        self.asked: list[list] = []
        self.preloaded = 0
        self.usable = providers
        session = ort.InferenceSession

        def start(path, options, providers):
            self.asked.append(providers)
            found = session(path, options, providers=["CPUExecutionProvider"])
            found.get_providers = lambda: self.usable
            return found

        def preload_dlls() -> None:
            assert not self.asked, "too late"
            self.preloaded += 1

        monkeypatch.setattr(ort, "InferenceSession", start)
        monkeypatch.setattr(ort, "get_available_providers", lambda: providers)
        monkeypatch.setattr(ort, "preload_dlls", preload_dlls, raising=False)


CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
WITH_CUDA = ["TensorrtExecutionProvider", CUDA, CPU]


@pytest.fixture
def onnx_file(tmp_path):
    model = to_onnx(LogisticRegression(max_iter=500).fit(ROWS, IRIS.target), ROWS[:1])
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_onnxruntime_with_cuda_is_asked_for_the_gpu_that_is_seen_and_for_full_float32(
    with_gpu, monkeypatch, onnx_file, caplog
):
    runtime = Runtime(monkeypatch, WITH_CUDA)
    predict = loader("onnx").load(onnx_file, threads=1)

    assert runtime.asked == [[(CUDA, {"use_tf32": "0"}), CPU]]
    assert runtime.preloaded == 1
    assert predict({"X": ROWS[:1]}, ["output_label"])[0].tolist() == [0]
    assert not caplog.records


def test_an_onnxruntime_that_cannot_load_cuda_itself_is_asked_alike(with_gpu, monkeypatch, onnx_file):
    runtime = Runtime(monkeypatch, WITH_CUDA)
    monkeypatch.delattr(ort, "preload_dlls")
    loader("onnx").load(onnx_file, threads=1)
    assert [name for name, _options in runtime.asked[0][:1]] == [CUDA]


def test_where_no_gpu_is_seen_onnxruntime_with_cuda_runs_on_the_cpu_and_the_log_says_so_once(
    devices, monkeypatch, onnx_file, caplog
):
    runtime = Runtime(monkeypatch, WITH_CUDA)
    loader("onnx").load(onnx_file, threads=1)

    assert (runtime.asked, runtime.preloaded) == ([[CPU]], 0)
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [(logging.WARNING, NONE_SEEN)]


def test_onnxruntime_without_cuda_is_asked_for_the_cpu_and_no_gpu_is_looked_for(
    with_gpu, monkeypatch, onnx_file, caplog
):
    runtime = Runtime(monkeypatch, ["AzureExecutionProvider", CPU])
    monkeypatch.setattr(gpu, "seen", lambda: pytest.fail("looked for"))
    loader("onnx").load(onnx_file, threads=1)

    assert (runtime.asked, runtime.preloaded) == ([[CPU]], 0)
    assert not caplog.records


def test_a_gpu_that_onnxruntime_cannot_use_is_told_in_the_log(with_gpu, monkeypatch, onnx_file, caplog):
    runtime = Runtime(monkeypatch, WITH_CUDA)
    runtime.usable = [CPU]
    loader("onnx").load(onnx_file, threads=1)
    assert [each.getMessage() for each in caplog.records] == [
        "onnxruntime cannot use the GPU: the model runs on the CPU"
    ]


def test_a_signature_is_read_on_the_cpu(with_gpu, monkeypatch, onnx_file):
    runtime = Runtime(monkeypatch, WITH_CUDA)
    loader("onnx").inspect(onnx_file)
    assert (runtime.asked, runtime.preloaded) == ([[CPU]], 0)


# --- XGBoost


def device_of(path, monkeypatch, *, cuda: bool) -> str:
    """Where the model of a file is asked to compute, by an XGBoost with CUDA or without."""
    asked = ["cpu"]
    set_param = xgboost.Booster.set_param

    def keep(booster, params) -> None:
        if isinstance(params, dict) and "device" in params:
            asked.append(params["device"])
        else:
            set_param(booster, params)

    monkeypatch.setattr(xgboost.Booster, "set_param", keep)
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": cuda})
    loader("xgboost").load(path, threads=1)
    return asked[-1]


@pytest.fixture
def trees(tmp_path):
    path = tmp_path / "model.ubj"
    xgboost.XGBClassifier(n_estimators=3, nthread=1).fit(ROWS, IRIS.target).save_model(path)
    return path


def test_trees_are_on_the_gpu_that_is_seen_where_xgboost_has_cuda(with_gpu, monkeypatch, trees):
    assert device_of(trees, monkeypatch, cuda=True) == "cuda"


def test_trees_are_on_the_cpu_where_no_gpu_is_seen_and_the_log_says_so(devices, monkeypatch, trees, caplog):
    assert device_of(trees, monkeypatch, cuda=True) == "cpu"
    assert [each.getMessage() for each in caplog.records] == [NONE_SEEN]


def test_trees_are_on_the_cpu_where_xgboost_has_no_cuda(with_gpu, monkeypatch, trees, caplog):
    assert device_of(trees, monkeypatch, cuda=False) == "cpu"
    assert not caplog.records


def test_a_linear_model_stays_on_the_cpu(with_gpu, monkeypatch, tmp_path):
    path = tmp_path / "model.json"
    xgboost.XGBRegressor(booster="gblinear", n_estimators=2).fit(ROWS, IRIS.target).save_model(path)
    assert device_of(path, monkeypatch, cuda=True) == "cpu"
