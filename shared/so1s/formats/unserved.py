"""What is not served, told by the names of its files, and the way to a format that is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

_PYTORCH = (
    "a state dict, a checkpoint or a pickled module of PyTorch is weights without a model, or code: "
    'torch.export.save(torch.export.export(model.eval(), inputs), "model.pt2") gives what is served, where '
    "model may be what MyLightningModule.load_from_checkpoint(path) gives; prepared.py may load a state dict "
    "where the operator allows user code"
)
_KERAS = (
    'weights without a model, or in the format of Keras 2, are not served: model.save("model.keras") of '
    "Keras 3 gives what is"
)
DATA_ALONE = "write skops.io.dump for scikit-learn, save_model for XGBoost and LightGBM, and ONNX for others"
PICKLE = (
    "a pickle runs its author's code when it is read, which the builder's setting SO1S_PICKLE_ACCOUNTS must "
    f"allow, and is read where pickle of protocol 2 or later or joblib wrote it; better {DATA_ALONE}"
)
DETECTRON2 = (
    "Detectron2 is not served, as it has no package on PyPI: its own "
    "tools/deploy/export_model.py --export-method tracing --format onnx gives what is"
)

# By the name of a file or by its suffix; the first that fits is said.
_WAYS = {
    "model_final.pth": DETECTRON2,
    "saved_model.pb": (
        "a SavedModel is the directory that tf.saved_model.save wrote, whole, with its variables/ beside it"
    ),
    "model.weights.h5": _KERAS,
    ".keras": _KERAS,
    ".h5": _KERAS,
    "data.pkl": _PYTORCH,  # a .pt file is an archive of it
    ".pt": _PYTORCH,
    ".pt2": _PYTORCH,
    ".pth": _PYTORCH,
    ".ckpt": _PYTORCH,
    "pytorch_model.bin": (
        "a model of transformers is read with weights in safetensors alone: model.save_pretrained(DIRECTORY) "
        "writes them"
    ),
    ".safetensors": (
        "safetensors hold weights without a model: what transformers' model.save_pretrained and "
        "tokenizer.save_pretrained write to one directory is served as a whole, with its config.json"
    ),
    ".pkl": PICKLE,
    ".pickle": PICKLE,
    ".joblib": PICKLE,
}

_OF_PYTORCH = {_PYTORCH, DETECTRON2}


def is_pytorch(path: str) -> bool:
    """Whether a file is one of PyTorch's by its name."""
    pure = PurePosixPath(path)
    return _WAYS.get(pure.name) in _OF_PYTORCH or _WAYS.get(pure.suffix.lower()) in _OF_PYTORCH


def way_out(paths: Iterable[str]) -> str | None:
    """Why these files are not served and what would be; None where nothing is known of them."""
    pure = [PurePosixPath(path) for path in paths]
    found = {path.name for path in pure} | {path.suffix.lower() for path in pure}
    return next((said for sign, said in _WAYS.items() if sign in found), None)
