"""Java libraries as Maven Central has them, downloaded once for each state of their pom.xml."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from so1s_lab import CHECKOUT, LAB_DIR
from so1s_lab.debian import program
from so1s_lab.once import locked
from so1s_lab.part import MissingPartError

_POMS = CHECKOUT / "deploy" / "lab" / "java"
_LIBRARIES = LAB_DIR / "java"


@dataclass(frozen=True)
class MavenProgram:
    """A program and its libraries."""

    name: str
    """Of the directory of its pom.xml."""
    artifact: str
    """The one whose version is the program's."""

    @property
    def version(self) -> str:
        """The version that pom.xml pins."""
        pattern = rf"<artifactId>{re.escape(self.artifact)}</artifactId>\s*<version>([^<]+)<"
        found = re.search(pattern, self._pom.read_text())
        assert found, f"{self.artifact} is not in {self._pom}"
        return found[1]

    @property
    def _pom(self) -> Path:
        return _POMS / self.name / "pom.xml"

    def download(self) -> Path:
        """A directory of jars; downloads them where they are not there already, which takes 15 s.

        Raises:
            MissingPartError: there is no Maven, or no way to its repository.
        """
        digest = hashlib.sha256(self._pom.read_bytes()).hexdigest()[:16]
        libraries = _LIBRARIES / f"{self.name}-{digest}"
        with locked(libraries):
            if not libraries.exists():
                self._download(libraries)
        return libraries

    def _download(self, libraries: Path) -> None:
        with tempfile.TemporaryDirectory(dir=libraries.parent) as temporary:
            copied = Path(temporary) / "libraries"
            self._copy_dependencies(copied)
            shutil.move(copied, libraries)

    def _copy_dependencies(self, into: Path) -> None:
        line = [program("mvn"), "--batch-mode", "--quiet", "--file", str(self._pom)]
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={into}"]
        done = subprocess.run([*line, *goal], capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if done.returncode:
            raise MissingPartError(f"mvn {goal[0]}: {done.stdout.strip()[-2000:]}")
