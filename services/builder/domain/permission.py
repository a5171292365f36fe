"""Who may run code and have packages from elsewhere: nobody, unless an operator says so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from services.builder.domain.failure import BuildError
from so1s.events.model import CODE, Format
from so1s.formats.unserved import DATA_ALONE
from so1s.requirements import Direct, Requirements

EVERYBODY = "*"

_OF_A_PICKLE = (
    "the model is a pickle: to read it runs code of whoever wrote it, in the builder and in each replica, "
    f"and its bytes do not show what that code does; {DATA_ALONE}"
)
_WARNINGS: dict[Format, list[str]] = {"pickle": [_OF_A_PICKLE]}


@dataclass(frozen=True, slots=True)
class Permissions:
    """Which accounts an operator trusts with what; `*` stands for all."""

    user_code: Collection[str] = ()
    """Run their own `prepared.py`."""
    pickles: Collection[str] = ()
    """Have pickles read."""
    tried: bool = True
    """Whether code is tried at all: where a sandbox works, and where an operator does without."""
    sources: Collection[str] = ()
    """Have packages built from source that have no wheel."""
    urls: Collection[str] = ()
    """Where packages may come from beside the index, as prefixes with `{account}`."""

    def require(self, model_format: Format, account: str) -> None:
        """Refuse a model whose format runs its author's code, where the account may not.

        Raises:
            BuildError: it names the setting that would allow it, and the way to a format of data alone.
        """
        if model_format == "python":
            what, way = "prepared.py is code", "upload the model that it loads, in a format of data alone"
            _require(self.user_code, account, what, "SO1S_USER_CODE_ACCOUNTS", way)
        if model_format == "pickle":
            what = "a pickle holds code"
            _require(self.pickles, account, what, "SO1S_PICKLE_ACCOUNTS", DATA_ALONE)
        if model_format in CODE and not self.tried:
            message = (
                "the model runs code, which is tried in a sandbox alone, and none works in the builder: "
                "its operator may install bubblewrap, or do without by SO1S_CODE_WITHOUT_SANDBOX"
            )
            raise BuildError("format", message)

    def may_build(self, account: str) -> bool:
        """Whether an account has packages built from source."""
        return EVERYBODY in self.sources or account in self.sources

    def require_directs(self, asked: Requirements, account: str) -> None:
        """Refuse packages from URLs that the account may not have.

        Raises:
            BuildError: it names each with its line, and the setting that would allow it.
        """
        problems = [problem for each in asked.directs if (problem := self._problem(each, account))]
        if problems:
            said = "; ".join(
                f"{asked.places.get(direct.name, direct.name)}: {direct} is not allowed; {problem}"
                for direct, problem in problems
            )
            raise BuildError("dependencies", said)

    def _problem(self, direct: Direct, account: str) -> tuple[Direct, str] | None:
        allowed = [prefix.format(account=account) for prefix in self.urls]
        if not any(direct.url.startswith(prefix) for prefix in allowed):
            where = f"what lies below {', '.join(allowed)}" if allowed else "packages of the index alone"
            return (
                direct,
                f"allowed: {where}, as the builder's setting SO1S_PACKAGE_URLS says: ask its operator",
            )
        if not direct.is_wheel and not self.may_build(account):
            return direct, f"allowed: a wheel, {unless_sources(account)}"
        return None


def unless_sources(account: str) -> str:
    """Why a package is not built from source, and who could change that."""
    return (
        "as anything else runs its author's code to be built, which the builder's setting "
        f"SO1S_SOURCE_ACCOUNTS does not allow the account {account}: ask its operator"
    )


def warnings(model_format: Format) -> list[str]:
    """What whoever looks at an image of a format should know as long as it is there."""
    return _WARNINGS.get(model_format, [])


def _require(accounts: Collection[str], account: str, what: str, setting: str, way: str) -> None:
    """Of other accounts nothing is said: who reads it is a tenant."""
    if EVERYBODY in accounts or account in accounts:
        return
    message = (
        f"{what}, which runs only where the operator allows it, and the builder's setting {setting} does not "
        f"name the account {account}: ask for it, or {way}"
    )
    raise BuildError("format", message)
