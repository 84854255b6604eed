import io
import json
import logging

import pytest
import structlog

from eventrouter.logging import configure_logging, get_logger
from eventrouter.settings import Settings

pytestmark = pytest.mark.unit


class FixedClock:
    def now_ms(self) -> int:
        return 1_767_225_600_042

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a log does not wait")


@pytest.fixture
def lines(monkeypatch):
    """Configure the log for a test, hand out a reader of its lines, and restore what was there."""
    stream = io.StringIO()
    root = logging.getLogger()
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        # A server that another test ran in this process may have routed them elsewhere.
        for attribute, value in (("propagate", True), ("level", logging.NOTSET), ("handlers", [])):
            monkeypatch.setattr(logging.getLogger(name), attribute, value)
    before, level, configuration = list(root.handlers), root.level, structlog.get_config()

    def configure(**settings):
        configure_logging(Settings(**settings), clock=FixedClock(), stream=stream)
        return lambda: stream.getvalue().splitlines()

    yield configure
    root.handlers[:] = before
    root.setLevel(level)
    structlog.configure(**configuration)


def test_each_line_is_one_json_object_with_its_context(lines):
    read = lines()

    get_logger(function="orders").info("batch.bisected", records=4, error=ValueError("no"))

    assert [json.loads(line) for line in read()] == [
        {
            "timestamp": "2026-01-01T00:00:00.042Z",
            "level": "info",
            "event": "batch.bisected",
            "function": "orders",
            "records": 4,
            "error": "ValueError('no')",
        }
    ]


def test_lines_below_the_level_are_dropped(lines):
    read = lines(log_level="warning")

    get_logger().info("step.taken")
    get_logger().warning("lease.lost")

    assert [json.loads(line)["event"] for line in read()] == ["lease.lost"]


def test_the_standard_librarys_records_come_out_in_the_same_form(lines):
    read = lines()

    logging.getLogger("uvicorn.error").warning("hello %s", "you")
    logging.getLogger("uvicorn.access").info("GET /")

    (line,) = map(json.loads, read())
    assert (line["event"], line["logger"], line["level"]) == ("hello you", "uvicorn.error", "warning")


def test_secrets_and_payloads_stay_out(lines):
    read = lines()

    get_logger(password="p1").info("client.connected", payload=b"p2", redis_url="redis://:p3@host")

    assert not {"p1", "p2", "p3"} & set(json.loads(read()[0]).values())
    assert "p3" not in read()[0]


def test_an_exception_is_one_line_with_its_traceback(lines):
    read = lines()

    try:
        raise ValueError("deep")
    except ValueError:
        get_logger().exception("loop.failed")

    (line,) = read()
    assert "ValueError: deep" in json.loads(line)["exception"]


def test_on_request_the_log_is_for_people(lines):
    read = lines(log_format="console")

    get_logger().info("node.started", port=1)

    assert "node.started" in read()[0]
    with pytest.raises(ValueError):
        json.loads(read()[0])


def test_without_a_stream_the_log_goes_to_stderr(lines, capsys):
    lines()
    configure_logging(Settings(), clock=FixedClock())

    get_logger().info("node.started")

    assert "node.started" in capsys.readouterr().err
