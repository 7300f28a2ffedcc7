"""Refusing AMX to this process: the part of a cap that reaches every runtime, also those that ask cpuid alone.

Linux gives a process the tile registers when it asks, arch_prctl(ARCH_REQ_XCOMP_PERM); a runtime that is refused takes
its next best kernels. A seccomp filter refuses.

Source: Linux, Documentation/arch/x86/xstate.rst and Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_AUDIT_ARCH_X86_64, _SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM = 0xC000003E, 158, 0x1023
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # of seccomp_data
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000

_FILTER = (
    (_LOAD, 0, 0, _ARCHITECTURE_AT),
    (_JUMP_IF_EQUAL, 0, 5, _AUDIT_ARCH_X86_64),  # no: skip to the last
    (_LOAD, 0, 0, _NUMBER_AT),
    (_JUMP_IF_EQUAL, 0, 3, _SYS_ARCH_PRCTL),
    (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
    (_JUMP_IF_EQUAL, 0, 1, _ARCH_REQ_XCOMP_PERM),
    (_RETURN, 0, 0, _FAIL | errno.EPERM),
    (_RETURN, 0, 0, _ALLOW),
)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refuse_amx() -> None:
    """From now on, for this process and all its threads to come. Nothing to do but on x86-64 Linux.

    Raises:
        OSError: the kernel takes no filter.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in _FILTER)
    program = _Program(len(_FILTER), instructions)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "AMX cannot be refused: prctl(PR_SET_SECCOMP)")
