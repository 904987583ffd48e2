#!/usr/bin/env python3
# busy.py COMMAND [ARG...]: runs it where another hypervisor has the processor's virtualisation:
# KVM_CREATE_VM says EBUSY, by a seccomp filter that children inherit. x86-64.
import ctypes, errno, os, struct, sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
IOCTL, KVM_CREATE_VM = 16, 0xAE01
NUMBER, SECOND = 0, 24  # where struct seccomp_data has the call, and its second argument's lower half

code = b"".join(
    struct.pack("HBBI", *row)
    for row in (
        (LOAD, 0, 0, NUMBER),
        (EQUAL, 0, 3, IOCTL),
        (LOAD, 0, 0, SECOND),
        (EQUAL, 0, 1, KVM_CREATE_VM),
        (RETURN, 0, 0, ERRNO | errno.EBUSY),
        (RETURN, 0, 0, ALLOW),
    )
)
rows = ctypes.create_string_buffer(code)
program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(rows))
prctl = ctypes.CDLL(None, use_errno=True).prctl
for arguments in (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
    if prctl(*(ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments)) != 0:
        sys.exit("busy.py: prctl: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
