"""`python compile_modules.py TREE ROOT`: bytecode of all modules below TREE, as they will lie below ROOT.

A program of its own: the interpreter that will run the modules runs it, without anything that is installed.
Unlike some releases of `compileall`, it raises where a disk did not take all of a file; each file that is
there is whole.
"""

import importlib.util
import marshal
import os
import re
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

_TESTS = re.compile("/tests?/")
"""A third of a library's files, which no server imports."""
_UNCHECKED_HASH = (1).to_bytes(4, "little")
"""Valid whatever the source's modification time, which an image does not keep (PEP 552)."""
_CHUNK = 16
_MOST_PROCESSES = 8
"""The machine of a small container may have many more cores than that may use."""


def compile_module(tree: Path, root: str, source: Path) -> None:
    """Write a module's bytecode; where it does not compile, its import would fail all the same."""
    data = source.read_bytes()
    shown = f"{root}/{source.relative_to(tree).as_posix()}"
    try:
        code = marshal.dumps(compile(data, shown, "exec", dont_inherit=True))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a library's test or template
        return
    target = Path(importlib.util.cache_from_source(str(source)))
    target.parent.mkdir(exist_ok=True)
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(data)
    written = target.with_suffix(".new")
    written.write_bytes(head + code)
    written.replace(target)


def main() -> None:
    """Compile on the cores that this process may use."""
    tree, root = Path(sys.argv[1]), sys.argv[2]
    warnings.simplefilter("ignore")
    modules = [
        path
        for path in tree.rglob("*.py")
        if path.is_file() and not _TESTS.search(f"/{path.relative_to(tree).as_posix()}")
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ProcessPoolExecutor(min(cores, _MOST_PROCESSES, 1 + len(modules) // _CHUNK)) as pool:
        for _ in pool.map(partial(compile_module, tree, root), modules, chunksize=_CHUNK):
            pass


if __name__ == "__main__":
    main()
