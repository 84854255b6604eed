"""What an environment sees of the file system: its code read-only at /var/task, a /tmp of its own.

Done with private mount namespaces, as root or in a user namespace. Nothing is ever created on the host: in the
zygote's namespace /var becomes a memory file system that shows the old entries and an empty `task`; each
environment then binds its code and its /tmp in a namespace of its own. This keeps runs apart; it is no
protection against hostile code. Runs in the zygote and its children: standard library only.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys

TASK = "/var/task"

_NEWNS = 0x0002_0000
_NEWUSER = 0x1000_0000
_RDONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 32, 4096, 16_384, 1 << 18
_KEPT_FLAGS = {os.ST_NOSUID: 2, os.ST_NODEV: 4, os.ST_NOEXEC: 8, os.ST_NOATIME: 1024, os.ST_NODIRATIME: 2048}
_ST_RELATIME, _MS_RELATIME = 4096, 1 << 21
_libc = ctypes.CDLL(None, use_errno=True)


def prepare() -> str | None:
    """Give this process a mount namespace in which environments can be set up; return why not, if not.

    Tried in a child first, so that a failure halfway leaves this process as it was.
    """
    reason = _tried()
    if reason is None:
        _isolate()
        _cover_var()
    return reason


def enter(code: str, tmp: str) -> None:
    """Take a mount namespace of its own: `code` at /var/task, `tmp` at /tmp. Raises OSError."""
    _unshare(_NEWNS)
    # Opened before anything is covered: code, interpreter and libraries may lie below /tmp themselves.
    kept = [(path, os.open(path, os.O_PATH)) for path in _needed_below_tmp()]
    code_fd, tmp_fd = os.open(code, os.O_PATH), os.open(tmp, os.O_PATH)
    _bind(f"/proc/self/fd/{code_fd}", TASK)
    _make_read_only(TASK)
    for path, _ in kept:
        os.makedirs(tmp + path.removeprefix("/tmp"), exist_ok=True)  # noqa: PTH103, S108
    _bind(f"/proc/self/fd/{tmp_fd}", "/tmp")  # noqa: S108
    for path, fd in kept:
        _bind(f"/proc/self/fd/{fd}", path)
        _make_read_only(path)  # functions empty their /tmp
        os.close(fd)
    os.close(code_fd)
    os.close(tmp_fd)


def _tried() -> str | None:
    """Do all of it in a child and return what failed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _isolate()
            _cover_var()
            enter(TASK, "/tmp")  # noqa: S108
            status = 0
        except BaseException as error:  # noqa: BLE001  # whatever it was: told, and the child ends
            os.write(writing, str(error).encode())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        reason = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    return None if status == 0 else reason or f"the trial ended with {status}"


def _isolate() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        _unshare(_NEWNS)
    else:
        _unshare(_NEWUSER | _NEWNS)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    _mount("none", "/", None, _REC | _PRIVATE)


def _cover_var() -> None:
    """Make /var/task exist for this namespace, if it does not, and leave the rest of /var as it is."""
    if os.path.isdir(TASK):  # noqa: PTH112
        return
    old = os.open("/var", os.O_PATH)
    beneath = f"/proc/self/fd/{old}"
    entries = [(name, os.lstat(f"{beneath}/{name}").st_mode) for name in os.listdir(f"{beneath}/")]  # noqa: PTH208
    _mount("eventrouter", "/var", "tmpfs", 0, "mode=755,size=1m")
    os.mkdir(TASK)  # noqa: PTH102
    for name, mode in entries:
        source, target = f"{beneath}/{name}", f"/var/{name}"
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211
        elif stat.S_ISDIR(mode):
            os.mkdir(target)  # noqa: PTH102
            _bind(source, target)
        elif stat.S_ISREG(mode):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
            _bind(source, target)
    os.close(old)


def _needed_below_tmp() -> list[str]:
    """Return the directories below /tmp that Python needs to import anything, outermost only."""
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    named = {sys.prefix, sys.base_prefix, source, *(os.path.abspath(path) for path in sys.path if path)}  # noqa: PTH100
    wanted = {path for each in named for path in (each, os.path.realpath(each))}
    below = sorted(path for path in wanted if path.startswith("/tmp/") and os.path.isdir(path))  # noqa: PTH112, S108
    outermost: list[str] = []
    for path in below:
        if not any(path.startswith(outer + "/") for outer in outermost):
            outermost.append(path)
    return outermost


def _make_read_only(target: str) -> None:
    # In a user namespace the flags that the mount already has are locked: all must be named again.
    present = os.statvfs(target).f_flag
    kept = sum(flag for shown, flag in _KEPT_FLAGS.items() if present & shown)
    if present & _ST_RELATIME:
        kept |= _MS_RELATIME
    _mount("none", target, None, _REMOUNT | _BIND | _RDONLY | kept)


def _bind(source: str, target: str) -> None:
    _mount(source, target, None, _BIND | _REC)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    raw_kind, raw_data = kind.encode() if kind else None, data.encode() if data else None
    if _libc.mount(source.encode(), target.encode(), raw_kind, ctypes.c_ulong(flags), raw_data):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {target}: {os.strerror(number)}")


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
