"""`python -m tests.local_supervisor.child WORD…`: tells what it is, and ends as it is told."""

import json
import os
import sys
import threading
import time
from pathlib import Path

import prometheus_client

said = {
    "arguments": sys.argv[1:],
    "told": os.environ.get("SO1S_TOLD"),
    "name": __name__,
    "threads": threading.active_count(),
    "input": sys.stdin.read(),
    "open": sorted(int(name) for name in (entry.name for entry in Path("/proc/self/fd").iterdir())),
    "session": os.getsid(0) == os.getpid(),
    "metrics": [metric.name for metric in prometheus_client.REGISTRY.collect()],
}
sys.stdout.write(json.dumps(said) + "\n")
sys.stdout.flush()
match sys.argv[1]:
    case "stay":
        time.sleep(600)
    case "raise":
        raise RuntimeError("as it was told")
    case code:
        sys.exit(int(code))
