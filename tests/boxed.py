"""An image's server as a pod has it, where bubblewrap works: an ordinary user, and /tmp alone to write to.

Beyond what a pod has, it reaches nothing: no network but its own loopback, no file but the image's, and where
the image stands on the host, the system's, or those of another system with the same Python.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from services.builder.adapters import bubblewrap
from services.builder.adapters.bubblewrap import Bubblewrap

_QUESTION = Path(__file__).with_name("boxed_question.py")
_PORT = "8080"
_SECONDS = 120


def answer_of(
    sandbox: Bubblewrap,
    config: dict[str, Any],
    root: Path,
    path: str,
    body: object,
    *,
    system: Path | None = None,
    seconds: float = _SECONDS,
) -> dict[str, Any]:
    """What a server answered, and what it could do: `boxed_question` tells; and its `log`.

    Args:
        sandbox: what it runs in.
        config: the image's configuration.
        root: where its layers are unpacked.
        path: what is asked for.
        body: what is sent, as JSON.
        system: the directory of a system that an image for the host stands on instead of it.
        seconds: how long the server may take to be ready.
    """
    if config["Labels"]["so1s.base"] != "host":
        files, interpreter = ["--ro-bind", str(root), "/"], config["Entrypoint"][:1]
    elif system:
        files, interpreter = ["--ro-bind", str(system), "/", *_image(root)], ["/usr/bin/python3"]
    else:
        host = Path(sys._base_executable)
        files, interpreter = [*bubblewrap._system(host), *_image(root)], [str(host.resolve()), "-S"]
    server = [*interpreter, *config["Entrypoint"][1:], "--port", _PORT, "--drain-seconds", "0"]
    question = json.dumps({"port": _PORT, "path": path, "body": body, "seconds": seconds})
    command = [
        sandbox.program,
        *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--die-with-parent"),
        *files,
        *("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp", "--remount-ro", "/"),
        *_environment(config),
        *_as_user(config["User"]),
        *(*interpreter, "-c", _QUESTION.read_text(), question, *server),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * seconds, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"log": done.stderr}


def _image(root: Path) -> list[str]:
    return ["--ro-bind", str(root / "opt"), "/opt"]


def _environment(config: dict[str, Any]) -> list[str]:
    variables = dict(each.split("=", 1) for each in config["Env"]) | {"HOME": "/tmp"}
    return ["--clearenv", *(word for each in variables.items() for word in ("--setenv", *each))]


def _as_user(user: str) -> list[str]:
    """In a user namespace; root becomes that user for real, so that the owners of the image's files count."""
    uid, gid = user.split(":")
    if os.geteuid() != 0:
        return ["--unshare-user", "--uid", uid, "--gid", gid, "--"]
    needed = ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
    return [*needed, "--", "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--"]
