"""`prepared.py`: what can be told of user code without running it."""

from __future__ import annotations

import ast

from so1s.errors import InvalidInput, Problem

FILE_NAME = "prepared.py"
_CONTRACT = {"load_artifacts": "def load_artifacts(): …", "run": "def run(artifacts, input): …"}


def check(source: bytes) -> None:
    """Look for the two functions of the contract.

    A name that is imported or assigned may be a function, and is taken for one.

    Raises:
        InvalidInput: the code does not parse here, or a function is missing.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        where = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        problem = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidInput.fault(f"{FILE_NAME}{where}", problem, "allowed: Python that parses") from error
    names = {name for node in tree.body for name in _bound(node)}
    problems = [
        Problem(f"{FILE_NAME}: {name}", "nothing", f"allowed: {shown}")
        for name, shown in _CONTRACT.items()
        if name not in names and "*" not in names
    ]
    if problems:
        raise InvalidInput(problems)


def _bound(node: ast.AST) -> set[str]:
    """The names that a statement of a module gives, also within its blocks."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {each.asname or each.name for each in node.names}
    if isinstance(node, ast.Name):
        return {node.id}
    return {name for inner in ast.iter_child_nodes(node) for name in _bound(inner)}
