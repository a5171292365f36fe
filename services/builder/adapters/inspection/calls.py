"""The system calls that a model has no business with, as a seccomp filter.

Most need a privilege that it does not have anyway: the filter keeps it away from code of the kernel in which
mistakes were found before. Some would leave its bounds: memory that no process shows to have, processors of
others.
"""

import errno
import platform
import struct
from collections.abc import Iterator

_REFUSED = {
    # name: (x86_64, aarch64), from asm/unistd_64.h and asm-generic/unistd.h
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "shmget": (29, 194),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_SOCKET = (41, 198)
_SET_AFFINITY = (203, 122)

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""The column of the tables, and what linux/audit.h calls the architecture."""
_FAMILIES = (1, 2, 10, 16)
"""Of sockets: unix, IPv4, IPv6 and netlink, all of which end at this network namespace."""
_NAMESPACES = 0x7E020000
"""CLONE_NEW… of linux/sched.h."""
_OTHER_CALLS = 0x40000000
"""From here on x86_64 has the numbers of its x32 calls."""

# linux/bpf_common.h, linux/seccomp.h
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16


def program() -> bytes:
    """The filter, in classic BPF for this machine.

    Raises:
        OSError: nobody knows the numbers of this machine's calls.
    """
    if platform.machine() not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {platform.machine()}")
    column, architecture = _MACHINES[platform.machine()]
    return b"".join(_filter(column, architecture))


def _filter(column: int, architecture: int) -> Iterator[bytes]:
    yield _step(_LOAD, _ARCHITECTURE)
    yield _step(_EQUAL, architecture, then=1)
    yield _step(_RETURN, _KILL)
    yield _step(_LOAD, _NUMBER)
    yield _step(_AT_LEAST, _OTHER_CALLS, otherwise=1)
    yield _refuse(errno.ENOSYS)
    for numbers in _REFUSED.values():
        yield _step(_EQUAL, numbers[column], otherwise=1)
        yield _refuse(errno.EPERM)
    yield _step(_EQUAL, _CLONE3[column], otherwise=1)
    yield _refuse(errno.ENOSYS)  # the C library then calls clone, whose flags can be seen
    yield _step(_EQUAL, _SET_AFFINITY[column], otherwise=1)
    yield _refuse(0)  # libraries say so aloud where it fails
    yield _step(_EQUAL, _CLONE[column], otherwise=5)
    yield _step(_LOAD, _FIRST_ARGUMENT)
    yield _step(_AND, _NAMESPACES)
    yield _step(_EQUAL, 0, then=1)
    yield _refuse(errno.EPERM)
    yield _step(_RETURN, _ALLOW)
    yield _step(_EQUAL, _SOCKET[column], otherwise=2 + len(_FAMILIES))
    yield _step(_LOAD, _FIRST_ARGUMENT)
    for passed, family in enumerate(_FAMILIES):
        yield _step(_EQUAL, family, then=len(_FAMILIES) - passed)
    yield _refuse(errno.EAFNOSUPPORT)
    yield _step(_RETURN, _ALLOW)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _refuse(number: int) -> bytes:
    return _step(_RETURN, _REFUSE | number)
