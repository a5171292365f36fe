"""What the processes of a sandbox take."""

from pathlib import Path


def memory(enough: int) -> int:
    """Bytes that all processes have together; the quick upper bound if that is below `enough`."""
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    most = sum(_field(each / "status", "VmRSS:") * 1024 for each in processes)
    if most < enough:
        return most
    return sum(_field(each / "smaps_rollup", "Pss:") * 1024 for each in processes)


def written(process: int) -> int:
    """Bytes that a process wrote to files, or anything else."""
    return _field(Path(f"/proc/{process}/io"), "wchar:")


def _field(path: Path, name: str) -> int:
    """A number of a process that may be gone."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(name))
