"""A filter of system calls, so that nothing of an answer outlives its process.

Some things the kernel keeps by user or by sandbox: keys, System V memory, queues and
semaphores, POSIX queues, limits and priorities of the starting process. They could
carry one answer's findings to the next, and so could sockets except AF_UNIX ones.
Calls that reach into other processes are refused too. Files in memory, and a private
user namespace, could hold memory that is counted for no process. All of these fail
with EPERM, as do calls that use another architecture's numbers.
"""

from __future__ import annotations

import errno
import platform
import struct

from labcore.runtime import LabError

__all__ = ["program"]

# by name: the numbers on x86_64 and on aarch64
REFUSED = {
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "userfaultfd": (323, 282),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
}
OWN_ONLY = {  # allowed if the first argument is 0, the calling process itself
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}
AF_UNIX = 1
SOCKETS = {"socket": (41, 198), "socketpair": (53, 199)}  # this family only
CLONE = (56, 220)  # its first argument says what the new process does not share
CLONE3 = (435, 435)  # a filter cannot see its flags; if it fails, clone is used
NEW_USER = 0x10000000
MACHINES = {  # their audit numbers, and which column above applies
    "x86_64": (0xC000003E, 0),
    "aarch64": (0xC00000B7, 1),
}
X32 = 0x40000000  # x86_64 has a second set of calls from this number on

# codes of classic BPF
LOAD, EQUAL, AT_LEAST, HAS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def program(machine: str = "") -> bytes:
    """The filter as an array of struct sock_filter, for `bwrap --seccomp`."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise LabError(
            f"The sandbox has no filter of system calls for {machine}: grade on a "
            "machine with x86_64 or aarch64, or with --no-sandbox if you trust every "
            "notebook."
        )
    audit, column = MACHINES[machine]
    refuse, allow = _step(RETURN, FAIL | errno.EPERM), _step(RETURN, ALLOW)
    steps = [_step(LOAD, ARCHITECTURE), _step(EQUAL, audit, 1, 0), refuse]
    steps += [_step(LOAD, NUMBER), _step(AT_LEAST, X32, 0, 1), refuse]
    for numbers in REFUSED.values():
        steps += [_step(EQUAL, numbers[column], 0, 1), refuse]
    for numbers in OWN_ONLY.values():
        steps += [_step(EQUAL, numbers[column], 0, 4), _step(LOAD, FIRST_ARGUMENT)]
        steps += [_step(EQUAL, 0, 1, 0), refuse, allow]
    for numbers in SOCKETS.values():
        steps += [_step(EQUAL, numbers[column], 0, 4), _step(LOAD, FIRST_ARGUMENT)]
        steps += [_step(EQUAL, AF_UNIX, 0, 1), allow, refuse]
    steps += [_step(EQUAL, CLONE3[column], 0, 1), _step(RETURN, FAIL | errno.ENOSYS)]
    steps += [_step(EQUAL, CLONE[column], 0, 3), _step(LOAD, FIRST_ARGUMENT)]
    steps += [_step(HAS, NEW_USER, 0, 1), refuse]
    return b"".join([*steps, allow])


def _step(code: int, operand: int, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; `then` and `otherwise` are the numbers of steps to skip."""
    return struct.pack("=HBBI", code, then, otherwise, operand)
