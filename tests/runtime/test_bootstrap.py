"""The bootstrap, alone in a real process: what goes in and what comes out of one function."""

from __future__ import annotations

import base64
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from eventrouter.rules import failure
from eventrouter.runtime import bootstrap, wire
from tests.runtime.bootstrap_driver import ARN, REQUEST_ID, Process, serving

pytestmark = pytest.mark.integration
ECHO = "def handler(event, context):\n    return event\n"


def evaluated(*expressions: str) -> str:
    """Write a handler that returns the expression whose number it is given."""
    lines = "".join(f"        lambda: {expression},\n" for expression in expressions)
    return f"import datetime, decimal, math, os\ndef handler(event, context):\n    return [\n{lines}    ][event]()\n"


def test_a_handler_gets_any_json_value_and_its_answer_comes_back(tmp_path: Path) -> None:
    values: list[Any] = [{"a": [1, 2.5, None, True]}, [], "text é", 7, None, {}]
    with serving(tmp_path, ECHO) as process:
        answers = [process.invoke(value) for value in values]

    assert [answer.json for answer in answers] == values
    assert {answer.result.kind for answer in answers} == {wire.SUCCEEDED}
    assert answers[0].result.body == b'{"a": [1, 2.5, null, true]}'
    assert all(answer.result.max_rss_kb > 1_000 for answer in answers)


@pytest.mark.parametrize("as_script", [True, False])
def test_commands_sent_ahead_run_in_order_and_the_end_of_commands_ends_the_process(
    tmp_path: Path, as_script: bool
) -> None:
    with serving(tmp_path, ECHO, as_script=as_script) as process:
        for n in range(20):
            process.send(n)
        process.hang_up()
        assert [process.receive().json for _ in range(20)] == list(range(20))
        assert process.wait() == 0


def test_a_large_event_comes_in_a_memory_file_and_a_large_answer_goes_whole(tmp_path: Path) -> None:
    big = "x" * 6_000_000
    with serving(tmp_path, ECHO) as process:
        opened = len([*Path(f"/proc/{process.process.pid}/fd").iterdir()])
        assert process.invoke(big).json == big
        assert process.invoke("y" * wire.INLINE_BYTES).json == "y" * wire.INLINE_BYTES
        assert len([*Path(f"/proc/{process.process.pid}/fd").iterdir()]) == opened


def test_row_14_the_answer_may_have_6291556_bytes_and_not_one_more(tmp_path: Path) -> None:
    source = "def handler(event, context):\n    print('made')\n    return b'x' * event\n"
    with serving(tmp_path, source) as process:
        whole = process.invoke(6_291_556)
        over = process.invoke(6_291_557)
        again = process.invoke(3)

    assert (whole.result.kind, len(whole.result.body)) == (wire.SUCCEEDED_RAW, 6_291_556)
    assert (over.result.kind, over.result.body, over.log) == (wire.TOO_LARGE, b"", "made\n")
    assert again.result.body == b"xxx"
    assert bootstrap.RESPONSE_LIMIT_BYTES == failure.RESPONSE_LIMIT_BYTES


def test_row_61_results_are_written_as_the_python_runtime_writes_them(tmp_path: Path) -> None:
    cases = {
        "{'a': 1, 'b': [1, 2]}": b'{"a": 1, "b": [1, 2]}',
        "{'d': decimal.Decimal('1.10'), 'e': decimal.Decimal('1E+5'), 's': '\"quoted\"'}": (
            b'{"d": 1.10, "e": 1E+5, "s": "\\"quoted\\""}'
        ),
        "decimal.Decimal('-12')": b"-12",
        "[decimal.Decimal('NaN'), decimal.Decimal('sNaN')]": b"[NaN, NaN]",
        "[math.nan, math.inf, -math.inf]": b"[NaN, Infinity, -Infinity]",
        "(1, (2,))": b"[1, [2]]",
        "None": b"null",
        "{'inner': b'bytes'}": b'{"inner": "bytes"}',
        "{1: 'a', None: 'b'}": b'{"1": "a", "null": "b"}',
    }
    with serving(tmp_path, evaluated(*cases)) as process:
        bodies = [process.invoke(number).result.body for number in range(len(cases))]

    assert bodies == list(cases.values())


def test_named_tuples_are_written_as_objects(tmp_path: Path) -> None:
    source = """
from collections import OrderedDict, namedtuple
from decimal import Decimal
Point = namedtuple("Point", "x y")
def handler(event, context):
    return [Point(1, Point(Decimal("2.50"), "é")), {"p": Point(None, (1, 2))}, OrderedDict(q=[Point(3, 4)])]
"""
    with serving(tmp_path, source, runtime="python3.12") as process:
        body = process.invoke().result.body

    assert body == (
        '[{"x": 1, "y": {"x": 2.50, "y": "é"}}, {"p": {"x": null, "y": [1, 2]}}, {"q": [{"x": 3, "y": 4}]}]'.encode()
    )


def test_an_error_is_answered_and_logged_whatever_became_of_the_output(tmp_path: Path) -> None:
    ways = ["os.close(1); os.close(2)", "sys.stdout.close(); sys.stderr.close()", "sys.stdout = sys.stderr = None"]
    for way in ways:
        source = f"import os, sys\ndef handler(event, context):\n    {way}\n    raise ValueError('told')\n"
        with serving(tmp_path, source) as process:
            answer = process.invoke()

        assert answer.json["errorMessage"] == "told"
        assert answer.log.startswith("[ERROR] ValueError: told")


def test_a_bytes_result_is_passed_on_as_it_is(tmp_path: Path) -> None:
    with serving(tmp_path, evaluated("b'\\0\\xff raw'")) as process:
        answer = process.invoke(0)

    assert (answer.result.kind, answer.result.body) == (wire.SUCCEEDED_RAW, b"\0\xff raw")


@pytest.mark.parametrize(
    ("runtime", "body"),
    [("python3.11", b'"\\u00e9"'), ("python3.12", '"é"'.encode()), ("python3.14", '"é"'.encode())],
)
def test_runtimes_from_3_12_on_write_utf_8_and_older_ones_escape(tmp_path: Path, runtime: str, body: bytes) -> None:
    with serving(tmp_path, ECHO, runtime=runtime) as process:
        assert process.invoke("é").result.body == body


def test_a_result_that_is_no_json_is_a_marshal_error(tmp_path: Path) -> None:
    cases = {
        "datetime.datetime.now()": "Object of type datetime is not JSON serializable",
        "{'a': {1, 2}}": "Object of type set is not JSON serializable",
        "{(1, 2): 3}": "keys must be str, int, float, bool or None, not tuple",
        "(lambda x: x.append(x) or x)([])": "Circular reference detected",
        "[decimal.Decimal(1), {1}]": "Object of type set is not JSON serializable",
    }
    with serving(tmp_path, evaluated(*cases)) as process:
        answers = [process.invoke(number) for number in range(len(cases))]
        assert process.invoke(99).json["errorType"] == "IndexError"

    for answer, problem in zip(answers, cases.values(), strict=True):
        assert (answer.result.kind, answer.result.error_type) == (wire.FAILED, "Runtime.MarshalError")
        assert list(answer.json.items()) == [
            ("errorMessage", f"Unable to marshal response: {problem}"),
            ("errorType", "Runtime.MarshalError"),
            ("requestId", REQUEST_ID),
            ("stackTrace", []),
        ]


def test_a_lone_surrogate_cannot_be_sent_as_utf_8(tmp_path: Path) -> None:
    with serving(tmp_path, evaluated("'\\ud800'"), runtime="python3.12") as process:
        assert process.invoke(0).json["errorType"] == "Runtime.MarshalError"


def test_an_event_that_is_no_json_is_an_unmarshal_error(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as process:
        answer = process.invoke(payload=b'{"a":')

    assert answer.json["errorType"] == "Runtime.UnmarshalError"
    assert answer.json["errorMessage"].startswith("Unable to unmarshal input: Expecting value")
    assert answer.json["stackTrace"] == []


def test_row_1_an_exception_has_message_type_request_and_trace_in_this_order(tmp_path: Path) -> None:
    source = "class Odd(Exception):\n    pass\ndef handler(event, context):\n    raise Odd('no é')\n"
    with serving(tmp_path, source) as process:
        answer = process.invoke()

    trace = "  File \\\"/var/task/app.py\\\", line 4, in handler\\n    raise Odd('no \\u00e9')\\n"
    assert answer.result.kind == wire.FAILED
    assert answer.result.error_type == "Odd"
    assert answer.result.body.decode() == (
        f'{{"errorMessage": "no \\u00e9", "errorType": "Odd", "requestId": "{REQUEST_ID}", "stackTrace": ["{trace}"]}}'
    )


def test_a_trace_shows_the_function_s_frames_only_and_others_where_they_are(tmp_path: Path) -> None:
    source = "import json\nfrom lib.deep import fail\ndef handler(event, context):\n    return event or fail(json)\n"
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/deep.py").write_text("def fail(json):\n    json.loads('?')\n")
    with serving(tmp_path, source) as process:
        trace = process.invoke().json["stackTrace"]

    assert [re.search(r'"(.*)"', frame)[1] for frame in trace[:2]] == ["/var/task/app.py", "/var/task/lib/deep.py"]  # type: ignore[index]
    assert all(frame.startswith('  File "/') and "json/" in frame for frame in trace[2:])


def test_deep_recursion_is_told_briefly(tmp_path: Path) -> None:
    source = "def handler(event, context):\n    return handler(event, context)\n"
    with serving(tmp_path, source) as process:
        answer = process.invoke()

    assert answer.json["errorType"] == "RecursionError"
    assert len(answer.result.body) < 2_000


@pytest.mark.parametrize(
    ("body", "error_type", "message"),
    [
        ("raise KeyError('k')", "KeyError", "'k'"),
        ("raise ValueError()", "ValueError", ""),
        ("raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})()", "Mute", "no text"),
        ("raise Exception('\\ud800')", "Exception", ""),
        ("import sys; sys.stdout.close(); raise ValueError('x')", "ValueError", "x"),
        ("import sys; sys.stdout = None; raise ValueError('x')", "ValueError", "x"),
    ],
)
def test_every_exception_is_answered(tmp_path: Path, body: str, error_type: str, message: str) -> None:
    with serving(tmp_path, f"def handler(event, context):\n    {body}\n", runtime="python3.12") as process:
        answers = [process.invoke() for _ in range(2)]

    for answer in answers:
        assert answer.json["errorType"] == error_type
        assert message in answer.json["errorMessage"]


def test_a_handler_of_the_wrong_signature_is_the_function_s_error(tmp_path: Path) -> None:
    with serving(tmp_path, "def handler():\n    pass\n") as process:
        answer = process.invoke()

    assert answer.json["errorMessage"] == "handler() takes 0 positional arguments but 2 were given"
    assert answer.json["stackTrace"] == []


IMPORT_FAULTS = [
    (
        "missing.handler",
        "",
        "Runtime.ImportModuleError",
        "Unable to import module 'missing': No module named 'missing'",
    ),
    (
        "app.handler",
        "import nowhere",
        "Runtime.ImportModuleError",
        "Unable to import module 'app': No module named 'nowhere'",
    ),
    (
        "app.handler",
        "from lib import gone",
        "Runtime.ImportModuleError",
        "Unable to import module 'app': cannot import name 'gone' from 'lib' (/var/task/lib.py)",
    ),
    ("app.gone", "x = 1", "Runtime.HandlerNotFound", "Handler 'gone' missing on module 'app'"),
    (
        "handler",
        "x = 1",
        "Runtime.MalformedHandlerName",
        "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
    ),
    (
        "sys.exit",
        "x = 1",
        "Runtime.BuiltInModuleConflict",
        "Cannot use built-in module sys as a handler module",
    ),
]


@pytest.mark.parametrize(("handler", "source", "error_type", "message"), IMPORT_FAULTS)
def test_a_handler_that_cannot_be_found_fails_the_init(
    tmp_path: Path, handler: str, source: str, error_type: str, message: str
) -> None:
    (tmp_path / "lib.py").write_text("")
    with Process(tmp_path, source, handler=handler) as process:
        answer = process.receive()
        assert process.wait() == 1

    assert (answer.result.kind, answer.result.error_type) == (wire.INIT_FAILED, error_type)
    expected = {"errorMessage": message, "errorType": error_type, "requestId": "", "stackTrace": []}
    assert list(answer.json.items()) == list(expected.items())
    assert answer.log == f"[ERROR] {error_type}: {message}\rTraceback (most recent call last):\n"


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    with Process(tmp_path, "x = 1\ndef broken(:\n") as process:
        answer = process.receive()

    assert answer.json["errorType"] == "Runtime.UserCodeSyntaxError"
    assert answer.json["errorMessage"] == "Syntax error in module 'app': invalid syntax (app.py, line 2)"
    assert answer.json["stackTrace"] == ['  File "/var/task/app.py" Line 2\n    def broken(:\n']


def test_row_4_an_exception_at_import_has_no_request_and_shows_the_import(tmp_path: Path) -> None:
    with Process(tmp_path, "print('loading')\nraise RuntimeError('at import')\n") as process:
        answer = process.receive()
        assert process.wait() == 1

    assert (answer.result.kind, answer.json["requestId"]) == (wire.INIT_FAILED, "")
    assert (answer.json["errorMessage"], answer.json["errorType"]) == ("at import", "RuntimeError")
    trace = answer.json["stackTrace"]
    assert "importlib/__init__.py" in trace[0]
    assert trace[-1] == "  File \"/var/task/app.py\", line 2, in <module>\n    raise RuntimeError('at import')\n"
    assert answer.log.startswith("loading\n[ERROR] RuntimeError: at import\r")


@pytest.mark.parametrize(
    ("handler", "path"),
    [("pkg/sub/mod.fn", "pkg/sub/mod.py"), ("pkg.sub.mod.fn", "pkg/sub/mod.py"), ("src/app.fn", "src/app.py")],
)
def test_a_handler_in_a_folder_may_be_named_with_slashes_or_dots(tmp_path: Path, handler: str, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("fn = lambda event, context: 'deep'\n")
    with serving(tmp_path, handler=handler) as process:
        assert process.invoke().json == "deep"


@pytest.mark.parametrize("as_script", [True, False])
def test_a_function_s_module_may_be_called_resource(tmp_path: Path, as_script: bool) -> None:
    (tmp_path / "resource.py").write_text("fn = lambda event, context: 'own'\n")
    with serving(tmp_path, handler="resource.fn", as_script=as_script) as process:
        assert process.invoke().json == "own"


CONTEXT = """
def handler(event, context):
    own = {name: value for name, value in vars(context).items() if isinstance(value, (str, int, type(None)))}
    identity = [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
    context.remark = "handlers may add to it"
    return {"own": own, "identity": identity, "left": context.get_remaining_time_in_millis(), "repr": repr(context)}
"""


def test_rows_17_and_18_the_context_tells_of_the_function_and_the_request(tmp_path: Path) -> None:
    with serving(tmp_path, CONTEXT) as process:
        answer = process.invoke(timeout_ms=5_000, arn=ARN + ":live").json
        late = process.invoke(timeout_ms=0).json

    assert answer["own"] == {
        "aws_request_id": REQUEST_ID,
        "client_context": None,
        "function_name": "f",
        "function_version": "$LATEST",
        "invoked_function_arn": ARN + ":live",
        "log_group_name": "/aws/lambda/f",
        "log_stream_name": "2026/01/02/[$LATEST]0a",
        "memory_limit_in_mb": "256",
        "tenant_id": None,
    }
    assert answer["identity"] == [None, None]
    assert 0 < answer["left"] <= 5_000
    assert late["left"] == 0
    assert answer["repr"].startswith(f"LambdaContext([aws_request_id={REQUEST_ID},log_group_name=/aws/lambda/f,")


def test_the_client_context_is_an_object_with_three_parts(tmp_path: Path) -> None:
    source = (
        "def handler(event, context):\n    c = context.client_context\n"
        "    return [c.custom, c.env, c.client and [c.client.app_title, c.client.installation_id]]\n"
    )
    given = {"custom": {"a": 1}, "env": {"b": "2"}, "client": {"app_title": "T"}}
    with serving(tmp_path, source) as process:
        whole = process.invoke(client_context=json.dumps(given))
        empty = process.invoke(client_context="{}")

    assert whole.json == [{"a": 1}, {"b": "2"}, ["T", None]]
    assert empty.json == [None, None, None]


@pytest.mark.parametrize("text", ["{", "[1]", base64.b64encode(b"{}").decode()])
def test_a_client_context_that_is_no_object_is_an_error_of_its_own(tmp_path: Path, text: str) -> None:
    with serving(tmp_path, ECHO) as process:
        answer = process.invoke(client_context=text)

    assert answer.json["errorType"] == "Runtime.LambdaContextUnmarshalError"
    assert answer.json["errorMessage"].startswith("Unable to parse Client Context JSON: ")


def test_row_60_the_trace_variable_is_there_inside_of_the_handler_only(tmp_path: Path) -> None:
    source = (
        "import os\nseen = os.environ.get('_X_AMZN_TRACE_ID')\n"
        "def handler(event, context):\n    return [seen, os.environ.get('_X_AMZN_TRACE_ID')]\n"
    )
    with serving(tmp_path, source) as process:
        assert process.invoke(trace="Root=1-2-3").json == [None, "Root=1-2-3"]
        assert process.invoke(trace="Root=4-5-6").json == [None, "Root=4-5-6"]
        assert process.invoke().json == [None, None]


def test_module_state_lives_from_one_event_to_the_next_also_after_an_exception(tmp_path: Path) -> None:
    source = "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return 1 / event and n\n"
    with serving(tmp_path, source) as process:
        assert process.invoke(1).json == 1
        assert process.invoke(0).json["errorType"] == "ZeroDivisionError"
        assert process.invoke(1).json == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("sys.exit()", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('why')", 1),
        ("raise KeyboardInterrupt", 1),
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), 9)", -signal.SIGKILL),
    ],
)
def test_what_ends_the_process_gives_no_answer_and_a_status(tmp_path: Path, body: str, status: int) -> None:
    source = f"import os, sys\ndef handler(event, context):\n    print('last words', end='')\n    {body}\n"
    with serving(tmp_path, source) as process:
        process.send()
        with pytest.raises(EOFError, match="last words"):
            process.receive()
        assert process.wait() == status


def test_leaving_at_import_is_no_failed_init_but_an_end(tmp_path: Path) -> None:
    source = "import atexit, sys\natexit.register(print, 'bye')\nsys.exit(0)\n"
    with Process(tmp_path, source) as process:
        with pytest.raises(EOFError, match="bye"):
            process.receive()
        assert process.wait() == 0


def test_a_background_thread_s_death_and_output_do_not_disturb_the_answers(tmp_path: Path) -> None:
    source = """
import sys, threading
started, release = threading.Event(), threading.Event()
def background():
    started.set()
    release.wait()
    print("from behind")
    sys.exit(5)
def handler(event, context):
    if event == 0:
        threading.Thread(target=background).start()
        started.wait()
    if event == 1:
        release.set()
        [thread.join() for thread in threading.enumerate() if thread is not threading.main_thread()]
    return event
"""
    with serving(tmp_path, source) as process:
        first, second, third = (process.invoke(n) for n in range(3))
        process.hang_up()
        assert process.wait() == 0

    assert [answer.json for answer in (first, second, third)] == [0, 1, 2]
    assert (first.log, second.log, third.log) == ("", "from behind\n", "")


def test_children_of_the_function_do_not_hold_the_sockets(tmp_path: Path) -> None:
    source = """
import os, subprocess, sys
def handler(event, context):
    code = "import os; print(sorted(os.readlink('/proc/self/fd/' + n)[:6] for n in os.listdir('/proc/self/fd')))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, close_fds=False).stdout
"""
    with serving(tmp_path, source) as process:
        assert "socket" not in process.invoke().json


def test_the_function_s_code_comes_first_on_the_path_and_pythonpath_next(tmp_path: Path) -> None:
    extra, inside = tmp_path / "extra", tmp_path / "inside"
    extra.mkdir()
    inside.mkdir()
    (extra / "colorsys.py").write_text("whose = 'extra'\n")
    (tmp_path / "bisect_of_mine.py").write_text("whose = 'own'\n")
    source = (
        "import sys, colorsys, bisect_of_mine\n"
        "def handler(event, context):\n    return [sys.path[:3], colorsys.whose, bisect_of_mine.whose]\n"
    )
    with serving(tmp_path, source, environ={"PYTHONPATH": f"/var/runtime:{extra}:/var/task/inside"}) as process:
        path, *whose = process.invoke().json

    assert path == [str(tmp_path), str(extra), str(inside)]
    assert whose == ["extra", "own"]


def test_the_modules_beside_the_bootstrap_are_not_on_the_function_s_path(tmp_path: Path) -> None:
    source = "import sys\ndef handler(event, context):\n    return sys.path\n"
    with serving(tmp_path, source) as process:
        path = process.invoke().json

    assert str(Path(bootstrap.__file__).parent) not in path
    assert path[0] == str(tmp_path)
    assert any(entry.endswith("lib-dynload") for entry in path)


def test_the_time_zone_of_the_environment_counts(tmp_path: Path) -> None:
    source = "import time\ndef handler(event, context):\n    return time.strftime('%H', time.localtime(0))\n"
    with serving(tmp_path, source, environ={"TZ": "JST-9"}) as process:
        assert process.invoke().json == "09"


def test_durations_are_the_function_s_own(tmp_path: Path) -> None:
    source = (
        "import time\ndef spin(ms):\n    end = time.perf_counter() + ms / 1000\n"
        "    while time.perf_counter() < end:\n        pass\n"
        "spin(30)\ndef handler(event, context):\n    spin(event)\n"
    )
    with Process(tmp_path, source) as process:
        init = process.receive()
        long, short = process.invoke(50), process.invoke(0)

    assert init.result.duration_us >= 30_000
    assert long.result.duration_us >= 50_000 > short.result.duration_us
