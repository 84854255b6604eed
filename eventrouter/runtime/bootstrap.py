"""Runs one function's handler: takes commands, answers results, until the commands end.

Standard library only: this is what lives in an environment beside the function's code. It is entered by `main` in a
process that the zygote forked, or as a script with the configuration as its argument (JSON) where a wrapper starts it.
Source: lambda-semantics §1.7, §5.1-§5.3.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import resource
import socket
import sys
import time
import traceback
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Protocol

if __name__ == "__main__":
    # Make the package importable without leaving this directory, whose modules the function must not see, on the path.
    _home = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _home]
    sys.path.append(os.path.dirname(os.path.dirname(_home)))

from eventrouter.runtime import bootstrap_logging, wire
from eventrouter.runtime.bootstrap_context import LambdaContext, parse_client_context
from eventrouter.runtime.bootstrap_marshal import Fault, Marshaller, load_event

RESPONSE_LIMIT_BYTES = 6_291_556
TRACE_VARIABLE = "_X_AMZN_TRACE_ID"
_MESSAGE_BYTES = wire.INLINE_BYTES + 262_144  # an inline payload and whatever headers bring
_ONE_FD = socket.CMSG_SPACE(4)


class Config(NamedTuple):
    """What an environment is told once. `task_root` is where the code is, `shown_root` what traces call it."""

    command_fd: int
    result_fd: int
    log_fd: int
    handler: str
    task_root: str
    shown_root: str
    function_name: str
    version: str
    memory_mb: int
    log_group: str
    log_stream: str
    runtime: str
    log_format: str = "Text"
    log_level: str | None = None
    init_counts: bool = False  # in the time of the first invocation, which waits for it


class Handler(Protocol):
    """A function's entry point."""

    def __call__(self, event: Any, context: LambdaContext, /) -> Any: ...


class _Answer(NamedTuple):
    kind: int
    error_type: str
    body: bytes


def main(config: Config) -> NoReturn:
    """Initialise the function, then run what comes. Ends the process, never returns."""
    status = 1
    try:
        _set_up_process(config)
        _Bootstrap(config).run()
        status = 0
    except SystemExit as leaving:
        status = _exit_status(leaving)
        atexit._run_exitfuncs()  # noqa: SLF001 (os._exit skips them, and nothing public runs them)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


class _Bootstrap:
    """The loop and what it needs at hand."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._commands = socket.socket(fileno=config.command_fd)
        self._results = socket.socket(fileno=config.result_fd)
        self._spent_s = 0.0  # of the next invocation's time
        self._is_copy = False
        os.register_at_fork(after_in_child=self._become_copy)
        self._marshaller = Marshaller(config.runtime)
        self._log_request = bootstrap_logging.set_up(config.log_format, config.log_level)
        self._fixed = {
            "function_name": config.function_name,
            "function_version": config.version,
            "memory_limit_in_mb": str(config.memory_mb),
            "log_group_name": config.log_group,
            "log_stream_name": config.log_stream,
        }

    def _become_copy(self) -> None:
        """Let go of the node: commands are this process's parent's, and so are the answers."""
        self._is_copy = True
        self._commands.close()
        self._results.close()

    def run(self) -> None:
        """Initialise, say so, and serve until the commands end. A failing init leaves by SystemExit."""
        began = time.perf_counter_ns()
        try:
            handler = find_handler(self._config.handler)
        except Exception as error:
            failed = self._failure(error, "")
            self._send(failed._replace(kind=wire.INIT_FAILED), began)
            raise SystemExit(1) from None
        self._send(_Answer(wire.READY, "", b""), began)
        if self._config.init_counts:
            self._spent_s = (time.perf_counter_ns() - began) / 1e9
        self._serve(handler)

    def _serve(self, handler: Handler) -> None:
        buffer = bytearray(_MESSAGE_BYTES)
        view = memoryview(buffer)
        receive, into = self._commands.recvmsg_into, [buffer]
        now = time.perf_counter_ns
        while True:
            size, ancillary, _, _ = receive(into, _ONE_FD, socket.MSG_CMSG_CLOEXEC)
            if not size:
                return
            began = now()
            command, payload_bytes = wire.unpack_command(bytes(view[:size]))
            payload = _read_memory_file(ancillary, payload_bytes) if payload_bytes else command.payload
            self._send(self._invoke(handler, command, payload), began)

    def _invoke(self, handler: Handler, command: wire.Command, payload: bytes) -> _Answer:
        """Run the handler once and turn what comes of it into an answer."""
        request_id, timeout_ms, arn, trace, client_context, _ = command
        deadline_s = time.monotonic() + timeout_ms / 1_000 - self._spent_s
        self._spent_s = 0.0
        self._log_request.request_id = request_id
        try:
            if trace:
                os.environ[TRACE_VARIABLE] = trace
            else:
                os.environ.pop(TRACE_VARIABLE, None)
            caller = _client_context(client_context) if client_context else None
            context = LambdaContext(self._fixed, request_id, arn, deadline_s, caller)
            event = load_event(payload)
            result = handler(event, context)
            if isinstance(result, bytes):
                answer = _Answer(wire.SUCCEEDED_RAW, "", result)
            else:
                answer = _Answer(wire.SUCCEEDED, "", self._marshaller.dump_result(result))
        except Exception as error:
            answer = self._failure(error, request_id)
        if len(answer.body) > RESPONSE_LIMIT_BYTES:
            return _Answer(wire.TOO_LARGE, "", b"")
        return answer

    def _failure(self, error: Exception, request_id: str) -> _Answer:
        """Log an error and build its object. Its key order is part of what callers see."""
        if isinstance(error, Fault):
            error_type, message, trace = (
                error.error_type,
                self._shown(error.message),
                list(map(self._shown, error.trace)),
            )
        else:
            error_type, message = type(error).__name__, _message_of(error)
            trace = _stack_trace(error.__traceback__, self._config.task_root, self._config.shown_root)
        fields = {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace}
        line = bootstrap_logging.error_line(fields, self._config.log_format)
        with suppress(OSError):  # straight to the log: the function may have closed or replaced its output
            os.write(self._config.log_fd, line.encode(errors="backslashreplace"))
        return _Answer(wire.FAILED, error_type, self._marshaller.dump_error(fields))

    def _shown(self, text: str) -> str:
        """Call the code's directory by its AWS name, where it has another."""
        task_root, shown_root = self._config.task_root, self._config.shown_root
        return text if task_root == shown_root else text.replace(task_root, shown_root)

    def _send(self, answer: _Answer, began_ns: int) -> None:
        if self._is_copy:
            os._exit(0)  # a child that the function has forked, and that has come back from the handler
        kind, error_type, body = answer
        duration_us = (time.perf_counter_ns() - began_ns) // 1_000
        result = wire.pack_result(
            wire.Result(
                kind,
                os.lseek(self._config.log_fd, 0, os.SEEK_END),
                duration_us,
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                error_type,
                body,
            )
        )
        try:
            self._results.sendall(result, socket.MSG_NOSIGNAL)
        except BrokenPipeError:
            os._exit(0)  # the node has let this environment go


def find_handler(name: str) -> Handler:
    """Import the module that `name` (`package.module.function`) names and return the function.

    Raises Fault for every mistake that the runtime names, and lets pass what the module itself raises.
    """
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': {error}") from None
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = f"Cannot use built-in module {module_name} as a handler module"
        raise Fault("Runtime.BuiltInModuleConflict", message)
    try:
        module = import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise Fault("Runtime.ImportModuleError", message) from None
    except SyntaxError as error:
        trace = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        message = f"Syntax error in module '{module_name}': {error}"
        raise Fault("Runtime.UserCodeSyntaxError", message, (trace,)) from None
    try:
        handler: Handler = getattr(module, function_name)
    except AttributeError:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", message) from None
    return handler


def _client_context(text: str) -> Any:
    try:
        return parse_client_context(text)
    except Exception as error:
        message = f"Unable to parse Client Context JSON: {error}"
        raise Fault("Runtime.LambdaContextUnmarshalError", message) from None


def _message_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return f"<{type(error).__name__} has no text: its __str__ failed>"


def _stack_trace(trace: TracebackType | None, task_root: str, shown_root: str) -> list[str]:
    """Return the trace as `traceback.format_list` items, without the runtime's own frames at its top."""
    frames = [(frame.filename, frame.lineno or 0, frame.name, frame.line) for frame in traceback.extract_tb(trace)]
    own = main.__code__.co_filename
    first = next((at for at, frame in enumerate(frames) if frame[0] != own), len(frames))
    prefix = task_root.rstrip("/") + "/"
    shown = shown_root.rstrip("/") + "/"
    return traceback.format_list(
        [
            (shown + filename[len(prefix) :] if filename.startswith(prefix) else filename, line, name, text)
            for filename, line, name, text in frames[first:]
        ]
    )


def _read_memory_file(ancillary: list[tuple[int, int, bytes]], size: int) -> bytes:
    """Read the `size` bytes of the file that came beside a message, and close it."""
    fd = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
    try:
        parts, at = [], 0
        while at < size and (part := os.pread(fd, size - at, at)):
            parts.append(part)
            at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(fd)


def _set_up_process(config: Config) -> None:
    """Make this process look like a fresh Lambda environment: paths, time zone, output."""
    for fd in (config.command_fd, config.result_fd, config.log_fd):
        os.set_inheritable(fd, False)
    time.tzset()  # the environment has brought TZ
    wanted = (_visible(entry, config) for entry in os.environ.get("PYTHONPATH", "").split(":"))
    ours = [config.task_root, *filter(os.path.exists, wanted)]
    sys.path[:] = [*dict.fromkeys(ours), *(entry for entry in sys.path if entry and entry not in ours)]
    sys.argv[:] = [""]
    # A likely name for a function's own module, and AWS's runtime has not loaded Python's.
    sys.modules.pop("resource", None)
    sys.stdout = sys.__stdout__ = _output(1, "surrogateescape")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _output(2, "backslashreplace")  # type: ignore[misc]


def _visible(path: str, config: Config) -> str:
    """Return where a path below /var/task lies in this process."""
    shown = config.shown_root
    return config.task_root + path[len(shown) :] if path == shown or path.startswith(shown + "/") else path


def _output(fd: int, errors: str) -> io.TextIOWrapper:
    """Open an unbuffered text stream: what was printed before a kill is in the log."""
    raw = io.FileIO(fd, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors=errors, newline="\n", write_through=True)


def _exit_status(leaving: SystemExit) -> int:
    """Return the status that Python would exit with, having printed what it would print."""
    code = leaving.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    main(Config(**json.loads(sys.argv[1])))
