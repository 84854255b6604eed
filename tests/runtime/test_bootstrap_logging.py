"""What a function's prints, log records and errors look like in its log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.bootstrap_driver import REQUEST_ID, Process, serving

pytestmark = pytest.mark.integration
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


def log_of(directory: Path, body: str, **settings: Any) -> str:
    """Run a handler of that body once and return what it logged."""
    source = f"import logging, sys\nlog = logging.getLogger('mine')\ndef handler(event, context):\n    {body}\n"
    with serving(directory, source, **settings) as process:
        return process.invoke().log


def test_prints_of_both_streams_come_in_order_and_unbuffered(tmp_path: Path) -> None:
    body = "print('out é'); print('err', file=sys.stderr); sys.stdout.write('half'); context.log('|'); context.log(1)"

    assert log_of(tmp_path, body) == "out é\nerr\nhalf|1"


def test_text_records_have_lambda_s_format_and_start_at_warning(tmp_path: Path) -> None:
    log = log_of(tmp_path, "log.info('quiet'); log.warning('careful: %s', 7)")

    assert re.fullmatch(rf"\[WARNING\]\t{STAMP}\.\d{{3}}Z\t{REQUEST_ID}\tcareful: 7\n", log)


def test_a_function_may_lower_the_level_and_keeps_the_format(tmp_path: Path) -> None:
    log = log_of(tmp_path, "logging.basicConfig(level=10); logging.getLogger().setLevel(10); log.debug('fine')")

    assert re.fullmatch(rf"\[DEBUG\]\t{STAMP}\.\d{{3}}Z\t{REQUEST_ID}\tfine\n", log)


def test_records_have_the_request_of_their_event(tmp_path: Path) -> None:
    source = "import logging\ndef handler(event, context):\n    logging.error('running')\n    1 / 0\n"
    with serving(tmp_path, source) as process:
        logs = [process.invoke(request_id=f"{n}" * 36).log for n in (1, 2)]

    assert re.search(r"Z\t1{36}\trunning\n", logs[0])
    assert re.search(r"Z\t2{36}\trunning\n", logs[1])


def test_records_at_import_come_with_the_init_s_answer_and_have_no_request(tmp_path: Path) -> None:
    source = "import logging\nlogging.error('loading')\ndef handler(event, context):\n    pass\n"
    with Process(tmp_path, source) as process:
        log = process.receive().log

    assert re.fullmatch(rf"\[ERROR\]\t{STAMP}\.\d{{3}}Z\t\tloading\n", log)


def test_an_error_is_one_event_of_many_lines(tmp_path: Path) -> None:
    log = log_of(tmp_path, "raise ValueError('no')")

    lines = log.removesuffix("\n").split("\r")
    assert "\n" not in log[:-1]
    assert lines[:2] == ["[ERROR] ValueError: no", "Traceback (most recent call last):"]
    assert lines[2] == '\xa0\xa0File "/var/task/app.py", line 4, in handler'
    assert lines[3] == "\xa0\xa0\xa0\xa0raise ValueError('no')"


def test_an_error_without_a_message_has_no_colon(tmp_path: Path) -> None:
    assert log_of(tmp_path, "raise ValueError()").startswith("[ERROR] ValueError\rTraceback")


def test_json_records_are_objects_and_start_at_info(tmp_path: Path) -> None:
    body = "log.debug('quiet'); log.info('hi %s', 'é', extra={'order': 7, 'none': None})"

    log = log_of(tmp_path, body, log_format="JSON")

    assert log.count("\n") == 1
    record = json.loads(log)
    assert re.fullmatch(STAMP + "Z", record.pop("timestamp"))
    assert record == {"level": "INFO", "message": "hi é", "logger": "mine", "requestId": REQUEST_ID, "order": 7}
    assert list(json.loads(log))[:4] == ["timestamp", "level", "message", "logger"]


@pytest.mark.parametrize(
    ("level", "names"),
    [
        ("TRACE", ["DEBUG", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("DEBUG", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("WARN", ["WARNING", "ERROR", "CRITICAL"]),
        ("FATAL", ["CRITICAL"]),
        (None, ["INFO", "WARNING", "ERROR", "CRITICAL"]),
    ],
)
def test_the_application_level_counts_in_json(tmp_path: Path, level: str | None, names: list[str]) -> None:
    body = "[log.log(number, 'x') for number in (5, 10, 20, 30, 40, 50)]"

    log = log_of(tmp_path, body, log_format="JSON", log_level=level)

    assert [json.loads(line)["level"] for line in log.splitlines()] == names


def test_the_application_level_does_not_count_in_text(tmp_path: Path) -> None:
    assert "careful" in log_of(tmp_path, "log.warning('careful')", log_level="FATAL")


def test_a_json_record_of_an_exception_has_its_trace_and_place(tmp_path: Path) -> None:
    body = "try: 1 / 0\n    except ZeroDivisionError: log.exception('oh')"

    record = json.loads(log_of(tmp_path, body, log_format="JSON"))

    assert (record["level"], record["message"]) == ("ERROR", "oh")
    assert (record["errorType"], record["errorMessage"]) == ("ZeroDivisionError", "division by zero")
    assert len(record["stackTrace"]) == 1
    assert record["location"].endswith("app.py:handler:5")


def test_an_error_in_json_is_an_object_of_one_line(tmp_path: Path) -> None:
    log = log_of(tmp_path, "raise ValueError('no é')", log_format="JSON")

    record = json.loads(log)
    assert list(record) == ["timestamp", "log_level", "errorMessage", "errorType", "requestId", "stackTrace"]
    assert (record["log_level"], record["errorMessage"], record["requestId"]) == ("ERROR", "no é", REQUEST_ID)
    assert log.count("\n") == 1


def test_a_record_that_cannot_be_formatted_is_told_and_hurts_nobody(tmp_path: Path) -> None:
    log = log_of(tmp_path, "log.warning('%d', 'x'); print('on')")

    assert "--- Logging error ---" in log
    assert log.endswith("on\n")
