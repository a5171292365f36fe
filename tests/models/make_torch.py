"""Writes models that a builder must refuse, and some that it must not, to the directory that it is given."""

import pickle
import sys
import warnings
import zipfile
from pathlib import Path

import torch

warnings.filterwarnings("ignore")
out = Path(sys.argv[1])


class Pools(torch.nn.Module):
    """Lengths that depend on each other, a keyword, and several outputs."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image, *, scale):
        found = self.convolution(image).flatten(2).transpose(1, 2)
        return found[:, : found.shape[1] // 2] * scale, found.mean(dim=1)


class Bessel(torch.nn.Module):
    """Computes what has no ONNX."""

    def forward(self, row):
        return torch.special.bessel_j0(row)


class Writes(torch.nn.Module):
    def forward(self, row: torch.Tensor):
        torch.save(row, "written")
        return row


class Unpickled:
    def __reduce__(self):
        return (print, ("unpickled",))


def changed(source: Path, target: Path, old: bytes, new: bytes) -> None:
    """A copy of an archive with other bytes in its members; the sample inputs where `old` is empty."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for member in before.infolist():
            is_sample = not old and "sample_inputs" in member.filename
            data = before.read(member)
            after.writestr(member.filename, new if is_sample else data.replace(old, new) if old else data)


rows, size = torch.export.Dim("rows"), torch.export.Dim("size", max=64)
dynamic = {"image": {0: rows, 2: size, 3: torch.export.Dim("width", max=64)}, "scale": {0: rows}}
program = torch.export.export(
    Pools().eval(), (torch.rand(2, 3, 8, 8),), {"scale": torch.ones(2, 1, 1)}, dynamic_shapes=dynamic
)
good = out / "good.pt2"
torch.export.save(program, good)
symbol = next(
    text.partition(b'"')[0]
    for text in zipfile.ZipFile(good).read("good/models/model.json").split(b'"expr_str": "')[1:]
)
changed(good, out / "size.pt2", symbol, b"__import__('os').getcwd()")
changed(good, out / "call.pt2", b"torch.ops.aten.mean.dim", b"torch.hub.load")
changed(good, out / "file.pt2", b"torch.ops.aten.mean.dim", b"torch.ops.aten.from_file.default")
changed(good, out / "pickled.pt2", b'"use_pickle": false', b'"use_pickle": true')
changed(good, out / "sample.pt2", b"", pickle.dumps(Unpickled()))
torch.export.save(torch.export.export(Bessel(), (torch.rand(2, 3),)), out / "bessel.pt2")
torch.jit.save(torch.jit.script(Writes()), out / "writes.pt")
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), out / "good.pt")
