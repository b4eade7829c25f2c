"""Runs a command under a seccomp filter, by the name of this file: `without-keyctl.py` answers EPERM to add_key,
request_key and keyctl, as containers do; `without-flock.py` answers ENOLCK to flock, as some network file systems do."""

import ctypes
import errno
import os
import platform
import struct
import sys

ARCHITECTURES = {
    "x86_64": (0xC000003E, {"keyctl": (248, 249, 250), "flock": (73,)}),
    "aarch64": (0xC00000B7, {"keyctl": (217, 218, 219), "flock": (32,)}),
}
what = os.path.basename(sys.argv[0]).removeprefix("without-").removesuffix(".py")
architecture, calls = ARCHITECTURES[platform.machine()]
forbidden, error = calls[what], {"keyctl": errno.EPERM, "flock": errno.ENOLCK}[what]
ALLOW, REFUSE, LOAD, EQUALS, RETURN = 0x7FFF0000, 0x00050000 | error, 0x20, 0x15, 0x06


def instruction(code, k, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, k)


program = instruction(LOAD, 4) + instruction(EQUALS, architecture, 1) + instruction(RETURN, ALLOW) + instruction(LOAD, 0)
for left, call in zip(range(len(forbidden), 0, -1), forbidden):
    program += instruction(EQUALS, call, left)
program += instruction(RETURN, ALLOW) + instruction(RETURN, REFUSE)
buffer = ctypes.create_string_buffer(program)
filter_of = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS"
assert prctl(22, 2, ctypes.c_char_p(filter_of), 0, 0) == 0, f"PR_SET_SECCOMP: {os.strerror(ctypes.get_errno())}"
os.execvp(sys.argv[1], sys.argv[1:])
