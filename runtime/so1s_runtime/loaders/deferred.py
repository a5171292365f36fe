"""Modules that are imported once something of them is used, so that a server starts without them.

scikit-learn and SciPy import far more than a prediction needs: a third of such a server's start went into
statistics and test tools, and into NumPy's wrapper for Fortran, of which a fitted model seldom asks anything.
"""

import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# Module → what importing others takes out of it, and calls later if at all.
_DEFERRED: Mapping[str, frozenset[str]] = {
    "numpy.f2py": frozenset(),
    "numpy.testing": frozenset(),
    "scipy.spatial.transform": frozenset(),
    "scipy.stats": frozenset({"chi2", "gmean", "rankdata", "spearmanr"}),
}

_LOCK = threading.Lock()


def install() -> None:
    """Defer these modules from now on; one that is imported already stays as it is."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Gives a stand-in where one of these modules is first imported; the module itself at the second time."""

    def __init__(self) -> None:
        self._waiting = set(_DEFERRED)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        package = sys.modules.get(fullname.rpartition(".")[0])
        if isinstance(package, _StandIn):
            _module(package)  # its parts rely on it
            if fullname in sys.modules:
                return _there(sys.modules[fullname])
        found = PathFinder.find_spec(fullname, path) if fullname in self._waiting else None
        if found is None:
            return None
        self._waiting.remove(fullname)
        stand_in = _StandIn(fullname)
        # `from scipy.stats import …` looks for the places of its parts first.
        stand_in.__path__ = found.submodule_search_locations or []
        return ModuleSpec(fullname, _Imported(stand_in))


class _Imported(Loader):
    """Loads nothing: the module is there."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec or module.__spec__


def _there(module: ModuleType) -> ModuleSpec:
    """For a part that its package imported; importlib takes the module's own spec, and would run it again."""
    module.__spec__ = ModuleSpec(module.__name__, _Imported(module))
    return module.__spec__


class _StandIn(ModuleType):
    """In a module's place until it is asked for more than what it hands out to be called later."""

    def __getattr__(self, name: str) -> Any:
        if name in _DEFERRED[self.__name__]:
            return _Later(self, name)
        return getattr(_module(self), name)


class _Later:
    """A function or an object of a module that is not imported yet."""

    def __init__(self, of: _StandIn, name: str) -> None:
        self._of, self._name = of, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._value()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._value(), name)

    def _value(self) -> Any:
        return getattr(_module(self._of), self._name)


def _module(stand_in: _StandIn) -> ModuleType:
    """What it stands in for: imported as any module is, so that threads wait for each other as ever."""
    name = stand_in.__name__
    with _LOCK:  # or a second thread would take out what the first one is importing
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
    return import_module(name)
