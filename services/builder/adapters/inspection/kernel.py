"""The system calls that Python has no function for; they raise OSError as its own functions do."""

import ctypes
import os
from typing import Any

# linux/sched.h
NEW_MOUNTS = 0x00020000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PIDS = 0x20000000
NEW_NETWORK = 0x40000000

# sys/mount.h
READ_ONLY = 1
NO_SUID = 2
NO_DEVICES = 4
NO_EXEC = 8
BIND = 0x1000
RECURSIVE = 0x4000
PRIVATE = 0x40000

# linux/prctl.h
_PARENT_DEATH_SIGNAL = 1
_DUMPABLE = 4
_SECCOMP = 22
_NO_NEW_PRIVILEGES = 38
_SECCOMP_FILTER = 2

_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones, as the manual has it under unshare."""
    _call("unshare", flags)


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Let something be seen at a place, as the manual has it under mount."""
    fields = (source.encode(), target.encode(), kind.encode() if kind else None)
    _call("mount", *fields, ctypes.c_ulong(flags), options.encode(), about=target)


def die_with_parent(signal: int) -> None:
    """Get a signal when the parent is no more."""
    _prctl(_PARENT_DEATH_SIGNAL, signal)


def own_again() -> None:
    """Own the files of `/proc/self` after the user was changed."""
    _prctl(_DUMPABLE, 1)


def gain_nothing() -> None:
    """No program that is executed later gets more privileges than this process has."""
    _prctl(_NO_NEW_PRIVILEGES, 1)


def drop_capabilities() -> None:
    """Have no capability any more."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _call("capset", header, none)


def filter_calls(program: bytes) -> None:
    """Let a seccomp filter, in classic BPF, decide on each later system call; children inherit it."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]

    given = Program(len(program) // 8, program)
    _prctl(_SECCOMP, _SECCOMP_FILTER, ctypes.byref(given))


def _prctl(option: int, value: int, pointer: Any = 0) -> None:
    _call("prctl", option, ctypes.c_ulong(value), pointer, 0, 0)


def _call(name: str, *arguments: Any, about: str | None = None) -> None:
    if getattr(_libc, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", about)
