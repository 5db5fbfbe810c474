"""What a decoding process may not do any more: take memory, write, open sockets, start programs.

Limits of the system hold everywhere on Linux. On x86-64 and ARM64 a filter of system calls
(seccomp) lets through what decoding needs and answers EPERM to all else. Files can still be opened
to read (libraries do), but nothing that is read can go anywhere but to the process that asked.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from pathlib import Path

_X86, _ARM = 0, 1
_AUDIT = {"x86_64": (_X86, 0xC000003E, 317), "aarch64": (_ARM, 0xC00000B7, 277)}
# Numbers on x86-64 and ARM64; None: the system has no such call.
_LET_THROUGH: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "close": (3, 57),
    "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79),
    "statx": (332, 291), "statfs": (137, 43), "fstatfs": (138, 44), "lseek": (8, 62),
    "pread64": (17, 67), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17),
    "fcntl": (72, 25), "dup": (32, 23), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233), "brk": (12, 214),
    "mincore": (27, 232), "memfd_create": (319, 279), "ftruncate": (77, 46),
    "membarrier": (324, 283), "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "exit": (60, 93),
    "exit_group": (231, 94), "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "nanosleep": (35, 101), "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169),
    "time": (201, None), "times": (100, 153), "getrusage": (98, 165), "sysinfo": (99, 179),
    "uname": (63, 160), "getrlimit": (97, 163), "getrandom": (318, 278), "poll": (7, None),
    "ppoll": (271, 73), "recvmsg": (47, 212), "sendmsg": (46, 211), "recvfrom": (45, 207),
    "sendto": (44, 206), "get_mempolicy": (239, 236),
}  # fmt: skip
_OPENS = {"open": (2, None, 1), "openat": (257, 56, 2)}  # and which argument holds the flags
_CLONE, _CLONE3, _IOCTL, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (16, 29), (234, 131), (302, 261)
_WRITES = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_TMPFILE", 0)
_WRITES &= ~os.O_DIRECTORY  # which O_TMPFILE holds as well
_THREAD = 0x00010000  # CLONE_THREAD

# Instructions of the filter: code, jumps, value.
_LOAD, _EQUAL, _AND, _SET, _GIVE = 0x20, 0x15, 0x54, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # places in what the filter is asked about

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_FILTER_ALL_THREADS = 1


def confine(memory_bytes: int) -> bool:
    """Give up what decoding does not need; for good, and for all threads of this process.

    Parameters
    ----------
    memory_bytes : int
        That may be taken besides what is taken already.

    Returns
    -------
    bool
        Whether system calls are filtered; False where the system has no such filter.
    """
    limit = _address_space() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # FSIZE counts for files in memory, which are no addresses until they are mapped.
    for name, most in (("FSIZE", memory_bytes), ("CORE", 0), ("MEMLOCK", 0), ("NOFILE", 64)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    known = _AUDIT.get(platform.machine())
    if known is None or sys.byteorder != "little":
        return False
    return _filter(libc, *known)


def _filter(libc: ctypes.CDLL, machine: int, audit: int, seccomp: int) -> bool:
    program = ctypes.create_string_buffer(_program(machine, audit, os.getpid()))

    class Filter(ctypes.Structure):
        _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    given = Filter(len(program) // 8, ctypes.addressof(program))
    mode = 1  # SECCOMP_SET_MODE_FILTER
    return bool(libc.syscall(seccomp, mode, _FILTER_ALL_THREADS, ctypes.byref(given)) == 0)


def _program(machine: int, audit: int, process: int) -> bytes:
    """Return the filter: what is let through, by number and in some cases by an argument."""
    refuse, allow = _give(_REFUSE | errno.EPERM), _give(_ALLOW)
    steps = [_load(_ARCHITECTURE), _jump(_EQUAL, audit, 1, 0), _give(_KILL), _load(_NUMBER)]
    for *numbers, place in _OPENS.values():
        # Without a bit that writes: allowed.
        looked_at = [_load(_ARGUMENTS + 8 * place), (_AND, 0, 0, _WRITES), _jump(_EQUAL, 0, 1, 0)]
        steps += _if_called(numbers[machine], [*looked_at, refuse, allow])
    thread = [_load(_ARGUMENTS), _jump(_SET, _THREAD, 1, 0), refuse, allow]
    own = [_load(_ARGUMENTS), _jump(_EQUAL, process, 1, 0), refuse, allow]
    itself = [_load(_ARGUMENTS), _jump(_EQUAL, 0, 1, 0), refuse, allow]
    steps += _if_called(_CLONE[machine], thread)
    steps += _if_called(_TGKILL[machine], own)
    steps += _if_called(_PRLIMIT[machine], itself)
    # So that the C library asks for a thread by the call that can be looked into.
    steps += _if_called(_CLONE3[machine], [_give(_REFUSE | errno.ENOSYS)])
    steps += _if_called(_IOCTL[machine], [_give(_REFUSE | errno.ENOTTY)])
    for of_machine in _LET_THROUGH.values():
        steps += _if_called(of_machine[machine], [allow])
    return b"".join(struct.pack("<HBBI", *step) for step in (*steps, refuse))


_Step = tuple[int, int, int, int]


def _load(place: int) -> _Step:
    return _LOAD, 0, 0, place


def _jump(code: int, value: int, if_so: int, if_not: int) -> _Step:
    return code, if_so, if_not, value


def _give(value: int) -> _Step:
    return _GIVE, 0, 0, value


def _if_called(number: int | None, then: list[_Step]) -> list[_Step]:
    """Steps for one system call; each of them ends the filter."""
    return [] if number is None else [_jump(_EQUAL, number, 0, len(then)), *then]


def _address_space() -> int:
    """Bytes of addresses that this process has taken."""
    return (
        int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        * resource.getpagesize()
    )
