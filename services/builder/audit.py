"""What is known against the packages of an image, and against what built them, when it is built."""

from __future__ import annotations

from dataclasses import dataclass

from services.builder.domain.failure import BuildError
from services.builder.packages import installed
from services.builder.ports import Advisories, Libraries, Log
from services.builder.stop import in_thread
from so1s.errors import TemporaryError


@dataclass(frozen=True, slots=True)
class Audit:
    """Asks a source that the operator named."""

    advisories: Advisories
    refuses: bool
    """Whether a package with a known vulnerability goes into no image."""

    async def warnings(self, libraries: Libraries, log: Log) -> list[str]:
        """A sentence about each package with known vulnerabilities.

        Raises:
            BuildError: there is one, and the operator lets none in.
            TemporaryError: nobody answers, and the operator lets none in.
        """
        packages = await in_thread(installed, libraries.site_packages, libraries.lock)
        built_by = {tool for each in libraries.lock.origins for tool in each.built_by}
        pins = [*((each.name, each.version) for each in packages), *sorted(built_by)]
        try:
            known = await self.advisories.of(pins)
        except TemporaryError as error:
            if self.refuses:
                raise
            log(f"WARNING: the packages were not audited: {error}")
            return [f"its packages were not audited for known vulnerabilities: {error}"]
        there = {(each.name, each.version) for each in packages}
        found = [
            f"{name} {version}{'' if (name, version) in there else ', which built others'}: {', '.join(ids)}"
            for (name, version), ids in sorted(known.items())
        ]
        if found and self.refuses:
            message = (
                f"packages have known vulnerabilities, and the builder's operator lets none in: "
                f"{'; '.join(found)}; choose other versions in requirements.txt"
            )
            raise BuildError("dependencies", message)
        log(f"{len(pins)} packages audited, {len(found)} with known vulnerabilities")
        said = [f"known vulnerabilities of {each}" for each in found]
        for each in said:
            log(f"WARNING: {each}")
        return said
