"""What an archive of PyTorch's may hold before PyTorch reads it: data and operations that compute.

PyTorch itself trusts what it loads. `torch.export.load` unpickles members that ask for it, and evaluates the
sizes of tensors as Python; both formats know operations that write files. Whatever is not on a list here is
refused.
"""

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from so1s_runtime.errors import ModelError

_ARITHMETIC = "abs|add|and_|eq|floordiv|ge|getitem|gt|le|lt|mod|mul|ne|neg|not_|or_|pos|pow|sub|truediv|xor"
_OPERATION = re.compile(
    rf"torch\.ops\.(aten|prim|prims|higher_order)\.(?!from_file|save)\w+(\.\w+)?"
    rf"|_operator\.({_ARITHMETIC})|math\.\w+|torch\.sym_\w+|torch\._sym_\w+"
)
_NAME = re.compile(r"[\w.]*")

# What torch.fx prints sizes with: classes of sympy, and of torch.utils._sympy.functions.
_SIZES = frozenset(
    {
        "Add",
        "And",
        "CeilToInt",
        "CleanDiv",
        "Eq",
        "Equality",
        "Float",
        "FloatPow",
        "FloatTrueDiv",
        "FloorDiv",
        "FloorToInt",
        "Ge",
        "GreaterThan",
        "Gt",
        "Identity",
        "IntTrueDiv",
        "Integer",
        "Le",
        "LessThan",
        "Lt",
        "Max",
        "Min",
        "Mod",
        "ModularIndexing",
        "Mul",
        "Ne",
        "Not",
        "Or",
        "Pow",
        "PowByNatural",
        "PythonMod",
        "Rational",
        "RoundToInt",
        "StrictGreaterThan",
        "StrictLessThan",
        "Symbol",
        "ToFloat",
        "TruncToFloat",
        "TruncToInt",
        "Unequality",
        "Where",
    }
)

# In TorchScript's own language: `torch.save`, `torch.from_file`, and names put together to hide them.
_WRITES = re.compile(r"from_file|\bsave\b|getattr\s*\(\s*torch\b|\\x")
_WRITES_NODE = re.compile(r"aten::(save|from_file)\(")

# Directories of a .pt2 archive; `data/aotinductor` would be machine code.
_PARTS = (
    "models/",
    "data/weights/",
    "data/constants/",
    "data/sample_inputs/",
    ".data/",
    "archive_format",
    "archive_version",
    "byteorder",
    "version",
)


def require_harmless_program(path: Path) -> None:
    """Refuse a .pt2 archive that is more than a graph of known operations, and tensors.

    Raises:
        ModelError: it is.
    """
    with _opened(path) as archive:
        members = dict(_members(archive))
        if strange := sorted(name for name in members if not name.startswith(_PARTS)):
            raise ModelError(f"{path.name} holds {strange[0]!r}, which is no part of an exported program")
        for name, member in members.items():
            if name.startswith("data/") and name.lower().endswith("_config.json"):
                _require_plain(json.loads(archive.read(member)), path)
            elif name.startswith("models/"):
                _require_known(json.loads(archive.read(member)), path)
            elif name.startswith("data/sample_inputs/"):
                _require_tensors(archive.read(member), path)


def require_harmless_script(path: Path) -> None:
    """Refuse TorchScript that could write or map files, wherever in it: parts of it run as it is loaded.

    Raises:
        ModelError: it could.
    """
    with _opened(path) as archive:
        for name, member in _members(archive):
            if name.lower().startswith("code/") and name.lower().endswith(".py"):
                source = archive.read(member).decode(errors="replace")
                if found := _WRITES.search(source):
                    raise ModelError(
                        f"{path.name} is refused: its code has {found[0]!r}, which reaches files"
                    )


def require_harmless_graph(graph: Any, path: Path) -> None:
    """Refuse a graph of TorchScript, all calls inlined, that writes or maps files.

    Raises:
        ModelError: it does.
    """
    if found := _WRITES_NODE.search(str(graph)):
        raise ModelError(f"{path.name} is refused: it calls {found[0][:-1]}, which reaches files")


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path.name} is no archive as PyTorch writes it: {error}") from error
    if problem := _ambiguous(archive):
        archive.close()  # two readers could see two archives in it
        raise ModelError(f"{path.name} is no archive as PyTorch writes it: {problem}")
    return archive


def _ambiguous(archive: zipfile.ZipFile) -> str | None:
    """Why PyTorch may read other members than those that are looked at here.

    It takes the directory of the first member for that of all, and finds names in whatever case.
    """
    names = archive.namelist()
    if archive.comment or len({name.lower() for name in names}) < len(names):
        return "a comment, or a name twice"
    if len({name.partition("/")[0] for name in names}) > 1:
        return "more than one directory at its top"
    return None


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Each member by its path in the archive's one directory."""
    for member in archive.infolist():
        yield member.filename.partition("/")[2], member


def _require_plain(config: Any, path: Path) -> None:
    for name, payload in config["config"].items():
        if payload.get("use_pickle") is not False:
            raise ModelError(f"{path.name} holds {name!r} as a pickle, which may run code")


def _require_tensors(pickled: bytes, path: Path) -> None:
    """Sample inputs are pickled; PyTorch reads those that are not tensors alone without any check."""
    import torch

    try:
        torch.load(io.BytesIO(pickled), weights_only=True)
    except Exception as error:  # unpickling raises anything
        raise ModelError(f"{path.name} holds sample inputs that are more than tensors") from error


def _require_known(value: Any, path: Path) -> None:
    """Look at every operation, size and name of a program, however deep."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            for key, each in value.items():
                if isinstance(each, str) and not _is_known(key, each):
                    raise ModelError(
                        f"{path.name} is refused: its {key} {each[:80]!r} is not one that computes"
                    )
                waiting.append(each)


def _is_known(key: str, value: str) -> bool:
    if key in {"target", "as_operator"}:
        return bool(_OPERATION.fullmatch(value))
    if key == "expr_str":
        return _is_size(value)
    return key != "name" or bool(_NAME.fullmatch(value))


def _is_size(expression: str) -> bool:
    """Whether an expression is made of numbers, symbols and arithmetic: it is evaluated as Python."""
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError, RecursionError):
        return False
    return all(_is_size_part(node) for node in ast.walk(tree.body))


def _is_size_part(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str) or bool(_NAME.fullmatch(node.value))
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name)
    if isinstance(node, ast.Name):
        return node.id in _SIZES or bool(re.fullmatch(r"[suz]\d+", node.id))
    return isinstance(node, ast.keyword | ast.Load | ast.UnaryOp | ast.USub)
