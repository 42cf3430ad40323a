"""Runs inside a sandbox: takes this process's own rights away, then becomes the program.

    python -I -S confine.py [OPTION VALUE]... -- PROGRAM [ARGUMENT]...

Landlock bounds what can be read and written, a seccomp filter which system calls there are, limits
how much there is of everything; capabilities are given up, and nothing can bring any of it back.
It imports nothing of this package and little else, because every command waits for it. Options:

    --read, --write DIR   may be read; may be read and written (with all below)
    --hide PATH           cannot be read although it lies in a --read
    --internet yes        sockets of the internet exist (a network namespace may still be empty)
    --alone yes           no namespaces keep the program from others: the filter does
    --memory, --file MIB  of private memory a process; of one file
    --files N             open files a process
    --processes N         of this user, in this user namespace
    --more-processes N    the same, on top of those that run now
    --need-landlock ABI   refuse to run with less; 0 does without
    --inside container    add to what confines already: the calls that can be filtered, and no more

Inside a container it is given to `python3 -c`, of 3.8 or newer.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import stat
import struct
import sys

TYPE_CHECKING = False  # typing and collections would double the time to start
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Instruction = tuple[int, int, int, int]

_libc = ctypes.CDLL(None, use_errno=True)

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_SET_SECCOMP = 24, 38, 47, 22
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
CLOSE_RANGE, CLOSE_RANGE_CLOEXEC = 436, 4

# linux/landlock.h: the rights that a file can have, those of a directory besides, and when the
# later ones came (by ABI).
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_DEVICES = 64 | 2048
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_TCP = 3
_SCOPED = 3  # abstract sockets and signals: only within the sandbox
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
_SIGINT, _SIGPIPE, _SIGXFSZ = 2, 13, 25  # the module signal costs 3 ms


def call(number: int, *arguments: object) -> int:
    """Make a system call. Raises OSError."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def prctl(option: int, argument: object, more: object = 0) -> None:
    """Set something of this process. Raises OSError."""
    if _libc.prctl(option, argument, more, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# ---------------------------------------------------------------- files: Landlock


def landlock_abi() -> int:
    """Return the version of Landlock that the kernel has; 0 for none."""
    if sys.platform != "linux":
        return 0  # the number means another call there
    try:
        return call(LANDLOCK_CREATE, None, 0, 1)
    except OSError:
        return 0


def restrict_files(
    read: Sequence[str], write: Sequence[str], hide: Sequence[str], *, tcp: bool
) -> None:
    """Take away every right on files but those to read and to write what is named."""
    abi = landlock_abi()
    handled = (1 << 13) - 1
    for right, since in ((_REFER, 2), (_TRUNCATE, 3), (_IOCTL_DEV, 5)):
        handled |= right if abi >= since else 0
    attributes = struct.pack("=QQQ", handled, 0 if tcp else _TCP, _SCOPED)
    attributes = attributes[: 8 if abi < 4 else 16 if abi < 6 else 24]
    rules = call(LANDLOCK_CREATE, attributes, len(attributes), 0)
    for path in (part for tree in read for part in visible(tree, hide)):
        _allow(rules, path, _READ & handled)
    for path in write:
        _allow(rules, path, handled & ~_MAKE_DEVICES)
    for name in _DEVICES:
        _allow(rules, f"/dev/{name}", (_OF_FILES | _READ_DIR) & ~_EXECUTE & handled)
    call(LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def visible(tree: str, hide: Sequence[str]) -> Iterator[str]:
    """Cut `tree` into parts none of which holds anything hidden; Landlock cannot take away."""
    if tree in hide:
        return
    above = tree.rstrip("/") + "/"
    if not any(path.startswith(above) for path in hide):
        yield tree
        return
    try:
        entries = list(os.scandir(tree))
    except OSError:
        return
    for entry in entries:
        if not entry.is_symlink():
            yield from visible(entry.path, hide)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rights
    if not stat.S_ISDIR(os.fstat(file).st_mode):
        rights &= _OF_FILES
    call(LANDLOCK_ADD, rules, 1, struct.pack("=Qi", rights, file), 0)
    os.close(file)


# ---------------------------------------------------------------- system calls: seccomp

# Numbers on x86_64 and on aarch64; from 403 on they are the same everywhere. They reach other
# processes, the kernel, mounts, namespaces, keys, or do past the filter what it denies.
_DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "bpf": (321, 280), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268),
    "open_by_handle_at": (304, 265), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "syslog": (103, 116), "quotactl": (179, 60),
    "fanotify_init": (300, 262), "vhangup": (153, 58),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "mount_setattr": (442, 442),
    "quotactl_fd": (443, 443), "open_tree_attr": (467, 467),
}  # fmt: skip
_INSPECTED = {"clone": (56, 220), "socket": (41, 198), "socketpair": (53, 199), "ioctl": (16, 29)}
# What would reach, without namespaces, other programs: memory, queues, semaphores that they share,
# and limits, priorities and processors of processes other than the caller's.
_SHARED = {"shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186),
    "semget": (64, 190), "mq_open": (240, 180)}  # fmt: skip
_OF_OTHERS = {"prlimit64": (302, 261), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274)}  # fmt: skip
_SETPRIORITY = (141, 140)
_CLONE3 = 435
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ARGUMENT = (16, 24)  # the low halves of the first two, in struct seccomp_data
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x50000
_NEW_NAMESPACES = 0x7E020000
_INTERNET = (2, 10, 16)  # IPv4, IPv6, and netlink, which looks up addresses
_UNIX, _STREAM, _SEQPACKET = 1, 1, 5
_TYPE_INTO_TERMINAL = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX


def _deny(error: int) -> Instruction:
    return _RETURN, 0, 0, _ERRNO | error


def _one_of(values: Sequence[int], yes: Instruction, no: Instruction) -> list[Instruction]:
    count = len(values)
    tests = [(_EQUAL, count - i, 0, value) for i, value in enumerate(values)]
    return [*tests, no, yes]


def _when(number: int, body: list[Instruction]) -> list[Instruction]:
    """Run `body`, which always returns, if the call is `number`."""
    return [(_EQUAL, 0, len(body), number), *body]


def syscall_filter(machine: str, *, internet: bool, alone: bool = False) -> list[Instruction]:
    """Return the program that the kernel runs for each system call.

    A socket to a path would reach Docker, D-Bus and agents with keys, and the address of a
    `connect` cannot be seen from here: so there are none, but pairs. Pairs of datagrams could be
    sent to a path.
    """
    column, architecture = _MACHINES[machine]
    numbers = {name: pair[column] for name, pair in _INSPECTED.items()}
    allow, no = (_RETURN, 0, 0, _ALLOW), _deny(errno.EPERM)
    first, second = ((_LOAD, 0, 0, offset) for offset in _ARGUMENT)
    families = _one_of(_INTERNET, allow if internet else _deny(errno.ENETUNREACH), no)
    program: list[Instruction] = [
        (_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0),
    ]  # fmt: skip
    if machine == "x86_64":  # the x32 interface numbers the same calls anew
        program += [(_AT_LEAST, 0, 1, 0x40000000), _deny(errno.ENOSYS)]
    for pair in _DENIED.values():
        program += _when(pair[column], [no])
    if alone:
        for pair in _SHARED.values():
            program += _when(pair[column], [no])
        for pair in _OF_OTHERS.values():
            program += _when(pair[column], [first, (_EQUAL, 1, 0, 0), no, allow])
        program += _when(_SETPRIORITY[column], [second, (_EQUAL, 1, 0, 0), no, allow])
    # What the flags of clone3 are cannot be seen from here; libraries fall back to clone.
    program += _when(_CLONE3, [_deny(errno.ENOSYS)])
    program += _when(numbers["clone"], [first, (_ANY_BIT, 0, 1, _NEW_NAMESPACES), no, allow])
    program += _when(numbers["socket"], [first, *families])
    kinds = [second, (_AND, 0, 0, 0xF), *_one_of((_STREAM, _SEQPACKET), allow, no)]
    program += _when(numbers["socketpair"], [first, (_EQUAL, 1, 0, _UNIX), no, *kinds])
    program += _when(numbers["ioctl"], [second, *_one_of(_TYPE_INTO_TERMINAL, no, allow)])
    return [*program, allow]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def filter_calls(*, internet: bool, alone: bool = False) -> None:
    """Let the kernel refuse dangerous system calls from here on. Raises OSError."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"there is no seccomp filter for {machine}")
    program = syscall_filter(machine, internet=internet, alone=alone)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(code, len(code))
    whole = _Program(len(program), ctypes.cast(memory, ctypes.c_void_p))
    prctl(PR_SET_SECCOMP, 2, ctypes.byref(whole))


# ---------------------------------------------------------------- limits and capabilities


def limit(values: Mapping[str, int]) -> None:
    """Bound what this process and its children may use."""
    bound = {resource.RLIMIT_CORE: 0}
    # Not RLIMIT_AS: what node and JVMs only reserve would count.
    for name, kind, unit in (
        ("--memory", resource.RLIMIT_DATA, 1 << 20),
        ("--file", resource.RLIMIT_FSIZE, 1 << 20),
        ("--files", resource.RLIMIT_NOFILE, 1),
        ("--processes", resource.RLIMIT_NPROC, 1),
    ):
        if name in values:
            bound[kind] = values[name] * unit
    if "--more-processes" in values:
        bound[resource.RLIMIT_NPROC] = values["--more-processes"] + _tasks_of(os.getuid())
    for kind, value in bound.items():
        _, hard = resource.getrlimit(kind)
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))


def _tasks_of(user: int) -> int:
    """Count the threads of all processes of `user`, as the kernel does."""
    count = 0
    for process in os.scandir("/proc"):
        try:
            if process.name.isdecimal() and process.stat().st_uid == user:
                count += sum(1 for _ in os.scandir(f"{process.path}/task"))
        except OSError:
            continue  # it has ended
    return count


def drop_capabilities() -> None:
    """Give up what root may do; a root that kept it could read the memory of other processes."""
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            break  # the last one, or no right to: no_new_privs is enough then
    _libc.prctl(PR_CAP_AMBIENT, 4, 0, 0, 0)
    capset = 126 if os.uname().machine == "x86_64" else 91
    call(capset, struct.pack("=Ii", 0x20080522, 0), bytes(24))


def confine(options: Mapping[str, Sequence[str]]) -> None:
    """Take the rights away. Raises OSError: then nothing must be run."""
    internet = "--internet" in options
    if "--inside" in options:
        try:
            prctl(PR_SET_NO_NEW_PRIVS, 1)
            filter_calls(internet=internet)
        except OSError:
            pass  # an emulated processor has no filters
        return
    limit({name: int(values[-1]) for name, values in options.items() if values[-1].isdecimal()})
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    needed = int(options.get("--need-landlock", ("1",))[-1])
    abi = landlock_abi()
    if abi < needed:
        raise OSError(errno.ENOSYS, f"the kernel has Landlock {abi}, {needed} is needed")
    if abi:
        paths = (options.get(name, ()) for name in ("--read", "--write", "--hide"))
        restrict_files(*paths, tcp=internet)
    drop_capabilities()
    call(CLOSE_RANGE, 3, 0x7FFFFFFF, CLOSE_RANGE_CLOEXEC)
    filter_calls(internet=internet, alone="--alone" in options)


def parse(words: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return options with their values, and the program. Raises ValueError."""
    options: dict[str, list[str]] = {}
    rest = list(words)
    while rest and rest[0] != "--":
        if len(rest) < 2:
            raise ValueError(f"{rest[0]!r} has no value")
        options.setdefault(rest.pop(0), []).append(rest.pop(0))
    if len(rest) < 2:
        raise ValueError("no program follows `--`")
    return options, rest[1:]


def become(program: list[str]) -> str:
    """Replace this process by the program; return why there is none that can be run.

    os.execvp would import a module, which may not be readable any more.
    """
    name, reason = program[0], os.strerror(errno.ENOENT)
    folders = [""] if "/" in name else os.environ.get("PATH", os.defpath).split(":")
    for folder in folders:
        try:
            os.execv(f"{folder}/{name}" if folder else name, program)
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = error.strerror or str(error)
    return reason


def main(words: Sequence[str]) -> str:
    """Become the program; return why that failed."""
    try:
        options, program = parse(words)
        confine(options)
        # What waits outside ignores Ctrl-C; Python ignores broken pipes.
        for number in (_SIGINT, _SIGPIPE, _SIGXFSZ):
            _libc.signal(number, None)
    except (OSError, ValueError) as error:
        return f"sandbox: {error}"
    return f"sandbox: cannot run {program[0]!r}: {become(program)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
