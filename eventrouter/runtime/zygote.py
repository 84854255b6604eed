"""The zygote: one warm interpreter per node that forks every environment, and keeps watch over them.

Runs as a process of its own, single-threaded, standard library only. It has loaded what functions need, so that
a fork starts in milliseconds. It is also the keeper: when the node dies, or its heartbeats are no longer
acknowledged, it kills every environment. It goes last: the descriptors that it was started with (the node's lock)
stay open until all environments are gone.

Messages to it and from it are JSON over a SOCK_SEQPACKET pair, one object a message, told apart by `op`:
- `start` {number, environ, code, tmp, config} with three descriptors: command, result, log
- `kill` {number}: kill the process group
- `ready` {not_applied, resident_kb}, `started` {number, pid}, `exited` {number, code, max_rss_kb},
  `broken` {number, reason}: could not be set up; `fenced` {}: the keeper kills everything now

Heartbeats come another way, through a file: on a busy machine they would wait behind every fork that is asked for.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from eventrouter.runtime import bootstrap, sandbox
from eventrouter.runtime.keeper import Keeper, boottime, last_beat

MESSAGE_BYTES = 262_144
COMMAND_FD, RESULT_FD, LOG_FD = 3, 4, 5
DATA_SLACK_BYTES = 2 << 30
"""Room in RLIMIT_DATA above the function's memory: it counts address space, of which thread stacks reserve much."""
FILE_BYTES = 512 << 20
"""Largest file a function can write. Source: lambda-semantics §5.7 (/tmp of 512 MB)."""
OPEN_FILES = 1024  # lambda-semantics §5.7
WRAPPER_NOT_FOUND = 127

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def resident_kb() -> int:
    """Return the resident memory of this process."""
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  # pathlib is not loaded here
        return int(statm.read().split()[1]) * (resource.getpagesize() // 1024)


class Zygote:
    """The loop: requests of the node in, children out, until the node is gone."""

    def __init__(self, node: socket.socket, beats: int, *, keeper_s: float, is_sandboxed: bool) -> None:
        self._node = node
        self._beats = beats
        self._keeper = Keeper(keeper_s)
        self._is_sandboxed = is_sandboxed
        self._is_orphan = False
        self._pids: dict[int, int] = {}  # number -> pid
        self._numbers: dict[int, int] = {}  # pid -> number
        self._wake_in, self._wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until the node closes its end or dies; then kill everything and return."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_parent_death)
        signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._node.fileno(), select.POLLIN)
        poll.register(self._wake_in, select.POLLIN)
        try:
            while True:
                ready = {fd for fd, _ in poll.poll(self._pause_ms())}
                if self._wake_in in ready:
                    os.read(self._wake_in, 4096)
                self._reap()
                if self._is_orphan:
                    break
                self._keeper.beat(last_beat(self._beats))
                if self._node.fileno() in ready and not self._serve():
                    break
                if self._keeper.expires(boottime()):
                    self._tell(op="fenced")
                    self._kill_all()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the node is gone
        finally:
            self._end_all()

    def _on_parent_death(self, _number: int, _frame: object) -> None:
        # The end of the socket says so too, unless another process has inherited the node's end of it.
        self._is_orphan = True

    def _pause_ms(self) -> float:
        remaining = self._keeper.remaining(boottime())
        # poll() does not count the time that the machine sleeps, and no beat wakes it: look again every second.
        return 1000.0 if remaining is None else max(0.0, min(remaining, 1.0)) * 1000

    def _tell(self, **message: Any) -> None:
        self._node.sendall(json.dumps(message).encode())

    def _serve(self) -> bool:
        """Take one message. False: the node is gone."""
        data, fds, _, _ = socket.recv_fds(self._node, MESSAGE_BYTES, 3)
        if not data:
            return False
        message = json.loads(data)
        op = message["op"]
        if op == "start":
            self._start(message, fds)
        elif op == "kill":
            self._kill(message["number"])
        for fd in fds:
            os.close(fd)
        return True

    def _start(self, request: dict[str, Any], fds: list[int]) -> None:
        number = request["number"]
        if self._keeper.is_fenced:
            self._refuse(number, "the node's heartbeats are not acknowledged")
            return
        try:
            pid = os.fork()
        except OSError as error:
            self._refuse(number, f"fork: {error}")
            return
        if pid == 0:
            self._become(request, fds)
        self._pids[number] = pid
        self._numbers[pid] = number
        self._tell(op="started", number=number, pid=pid)

    def _refuse(self, number: int, reason: str) -> None:
        self._tell(op="broken", number=number, reason=reason)
        self._tell(op="exited", number=number, code=0, max_rss_kb=0)

    def _become(self, request: dict[str, Any], fds: list[int]) -> NoReturn:
        """Turn this fresh child into the environment."""
        try:
            _set_up(request, fds, parent=os.getppid(), is_sandboxed=self._is_sandboxed)
        except BaseException as error:  # noqa: BLE001  # whatever it was, the child must not go on as a zygote
            try:
                self._tell(op="broken", number=request["number"], reason=f"{type(error).__name__}: {error}")
            finally:
                os._exit(1)
        _hand_over(request["config"], request["code"], is_sandboxed=self._is_sandboxed)

    def _kill(self, number: int) -> None:
        pid = self._pids.get(number)
        if pid is not None:
            _kill_group(pid)

    def _kill_all(self) -> None:
        for pid in self._pids.values():
            _kill_group(pid)

    def _reap(self) -> None:
        """Take the ended children. A leader's group dies with it, while its id cannot yet belong to another."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            self._take(ended.si_pid)

    def _take(self, pid: int) -> None:
        number = self._numbers.pop(pid, None)
        if number is not None:
            _kill_group(pid)
        _, status, usage = os.wait4(pid, 0)
        if number is not None:
            del self._pids[number]
        self._kill_strays()
        if number is not None:
            code = os.waitstatus_to_exitcode(status)
            self._tell(op="exited", number=number, code=code, max_rss_kb=usage.ru_maxrss)

    def _kill_strays(self) -> None:
        """Kill what left its environment's group and has lost its environment: its mount namespace is nobody's."""
        strays = [pid for pid in self._children() if pid not in self._numbers]
        if strays:
            used = {_mount_namespace(pid) for pid in (os.getpid(), *self._numbers)}
            for pid in strays:
                if _mount_namespace(pid) not in used:
                    os.kill(pid, signal.SIGKILL)

    def _children(self) -> list[int]:
        """Return every child, orphans of environments included."""
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", "rb") as children:  # noqa: PTH123
                return [int(pid) for pid in children.read().split()]
        except FileNotFoundError:  # this kernel does not tell
            return list(self._numbers)

    def _end_all(self) -> None:
        """Kill and reap every child, orphans of environments included: this process is their reaper."""
        while True:
            for pid in self._children():
                _kill_group(pid)
            try:
                os.wait()
            except ChildProcessError:
                return


def _mount_namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115
    except OSError:
        return ""  # it has just ended


def _kill_group(pid: int) -> None:
    """Kill a child that has not been reaped, with its group: it may be so young that it leads none yet."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    os.kill(pid, signal.SIGKILL)


def _set_up(request: dict[str, Any], fds: list[int], *, parent: int, is_sandboxed: bool) -> None:
    """Give the child its own session, file system view, limits, descriptors and environment."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    if is_sandboxed:
        sandbox.enter(request["code"], request["tmp"])
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _limit(request["config"]["memory_mb"])
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    os.chdir(sandbox.TASK if is_sandboxed else request["code"])
    os.umask(0o022)
    _place(fds)


def _limit(memory_mb: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    data = (memory_mb << 20) + DATA_SLACK_BYTES
    if hard == resource.RLIM_INFINITY or hard > data:
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _place(fds: list[int]) -> None:
    """Put command, result and log where the bootstrap expects them, log on 1 and 2, and close everything else."""
    high = [os.dup2(fd, 64 + index, inheritable=False) for index, fd in enumerate(fds)]
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(high[2], 1)
    os.dup2(high[2], 2)
    for target, fd in zip((COMMAND_FD, RESULT_FD, LOG_FD), high, strict=True):
        os.dup2(fd, target, inheritable=False)
    os.closerange(LOG_FD + 1, OPEN_FILES * 64)


def _hand_over(config: dict[str, Any], code: str, *, is_sandboxed: bool) -> NoReturn:
    """Run the function's bootstrap in this process, or the wrapper that the function asks for."""
    fields = {**config, "command_fd": COMMAND_FD, "result_fd": RESULT_FD, "log_fd": LOG_FD}
    wrapper = os.environ.get("AWS_LAMBDA_EXEC_WRAPPER")
    if not wrapper:
        bootstrap.main(bootstrap.Config(**fields))
    if not is_sandboxed and wrapper.startswith(sandbox.TASK + "/"):
        wrapper = code + wrapper.removeprefix(sandbox.TASK)
    for fd in (COMMAND_FD, RESULT_FD, LOG_FD):
        os.set_inheritable(fd, True)
    try:
        os.execv(wrapper, [wrapper, sys.executable, bootstrap.__file__, json.dumps(fields)])  # noqa: S606  # its own words
    except OSError:
        os._exit(WRAPPER_NOT_FOUND)


def main() -> None:
    """Start: `argv` is the node's socket, the file of its heartbeats, the keeper's limit in seconds, whether to try
    namespaces, and the node's process id.
    """
    fd, beats, keeper_s, wanted, parent = sys.argv[1:6]
    node = socket.socket(fileno=int(fd))
    os.set_inheritable(node.fileno(), False)
    reason = sandbox.prepare() if wanted == "sandbox" else "namespaces are switched off"
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # not SIGKILL: there is something left to do
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != int(parent):
        return
    gc.collect()
    gc.freeze()
    not_applied = [f"private /tmp and read-only /var/task: {reason}"] if reason else []
    ready = {"op": "ready", "not_applied": not_applied, "sandboxed": not reason, "resident_kb": resident_kb()}
    node.sendall(json.dumps(ready).encode())
    Zygote(node, int(beats), keeper_s=float(keeper_s), is_sandboxed=not reason).run()
