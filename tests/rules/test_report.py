"""START, END, REPORT and their JSON counterparts."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules import failure
from eventrouter.rules.function import LogFormat, LoggingConfig
from eventrouter.rules.outcome import FunctionFailed, Run, RunStatus, Succeeded, SystemFault
from eventrouter.rules.report import billed_ms, init_report, log_events, log_tail, log_text

ID = "00000000-0000-4000-8000-00000000000a"
TEXT = LoggingConfig(group="/aws/lambda/f")
AT_MS = 1_760_000_000_470


WARM_REPORT = (
    f"REPORT RequestId: {ID}\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t\n"
)


def in_json(system: str | None = None, application: str | None = None) -> LoggingConfig:
    return LoggingConfig(group="g", format=LogFormat.JSON, system_level=system, application_level=application)


def a_run(
    *,
    outcome: Succeeded | FunctionFailed | SystemFault | None = None,
    status: RunStatus = RunStatus.SUCCESS,
    duration_ms: float = 3.01,
    init_ms: float | None = None,
    log: bytes = b"",
) -> Run:
    return Run(
        outcome=outcome or Succeeded(payload=b"null"),
        status=status,
        version="$LATEST",
        log_group="g",
        log_stream="s",
        started_at_ms=AT_MS,
        duration_ms=duration_ms,
        memory_mb=128,
        max_memory_mb=36,
        init_ms=init_ms,
        log=log,
    )


def messages(run: Run, logging: LoggingConfig = TEXT) -> list[str]:
    return [message for _, message in log_events(ID, run, logging)]


def records(run: Run, logging: LoggingConfig) -> dict[str, Any]:
    return {record["type"]: record["record"] for record in map(json.loads, messages(run, logging))}


def test_row_58_a_warm_run_has_start_lines_end_and_a_report_with_a_trailing_tab() -> None:
    assert messages(a_run(log=b"one\ntwo\n")) == [
        f"START RequestId: {ID} Version: $LATEST\n",
        "one\n",
        "two\n",
        f"END RequestId: {ID}\n",
        WARM_REPORT,
    ]


def test_row_58_a_cold_run_begins_with_its_init_and_bills_it() -> None:
    cold = messages(a_run(duration_ms=1233.96, init_ms=463.512))

    assert re.fullmatch(r"INIT_START Runtime Version: python:3\.\d+\.v\d+\n", cold[0])
    assert cold[-1] == (
        f"REPORT RequestId: {ID}\tDuration: 1233.96 ms\tBilled Duration: 1698 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 36 MB\tInit Duration: 463.51 ms\t\n"
    )


def test_row_59_a_timeout_is_a_status_of_the_report() -> None:
    run = a_run(outcome=failure.timed_out(ID, 1), status=RunStatus.TIMEOUT, duration_ms=1000, init_ms=84)

    assert messages(run)[-1].endswith("Init Duration: 84.00 ms\tStatus: timeout\n")


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [
        (failure.exited(ID), "MB\tStatus: error\tError Type: Runtime.ExitError\n"),
        (failure.out_of_memory(ID), "MB\tStatus: error\tError Type: Runtime.OutOfMemory\n"),
        (SystemFault(message="gone"), "MB\tStatus: error\n"),
    ],
)
def test_a_crash_is_a_status_and_an_error_type(outcome: FunctionFailed | SystemFault, ending: str) -> None:
    assert messages(a_run(outcome=outcome, status=RunStatus.ERROR))[-1].endswith(ending)


def test_an_exception_does_not_show_in_the_report() -> None:
    raised = failure.raised(error_type="Odd", message="", request_id=ID, stack_trace=[])

    assert messages(a_run(outcome=raised, status=RunStatus.FAILURE)) == messages(a_run())


def test_events_carry_the_times_of_their_phases() -> None:
    times = [at for at, _ in log_events(ID, a_run(duration_ms=2.5, init_ms=100, log=b"x\n"), TEXT)]

    assert times == [AT_MS - 100, AT_MS, AT_MS + 3, AT_MS + 3, AT_MS + 3]


def test_lines_joined_by_carriage_returns_are_one_event() -> None:
    assert messages(a_run(log=b"[ERROR] X\rTraceback\r  a\n"))[1:-2] == ["[ERROR] X\rTraceback\r  a\n"]


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        (b"no end", ["no end\n"]),
        (b"a\n\nb", ["a\n", "\n", "b\n"]),
        (b"\n", ["\n"]),
        (b"\xff\n", ["\N{REPLACEMENT CHARACTER}\n"]),
        ("\N{LINE SEPARATOR}\x0b\x85\n".encode(), ["\N{LINE SEPARATOR}\x0b\x85\n"]),
    ],
)
def test_only_line_feeds_end_a_line_and_every_line_ends(log: bytes, lines: list[str]) -> None:
    assert messages(a_run(log=log))[1:-2] == lines


def test_the_tail_is_without_the_init_and_cut_to_the_last_4096_bytes() -> None:
    short = a_run(init_ms=5, log=b"x\n")
    long = a_run(log=b"line\n" * 2_000)

    assert log_tail(ID, short, TEXT).decode() == "".join(messages(short)[1:])
    assert log_tail(ID, long, TEXT) == log_text(ID, long, TEXT)[-4_096:]
    assert len(log_tail(ID, long, TEXT)) == 4_096


def test_json_has_platform_records_with_numbers() -> None:
    logging = in_json()
    cold = a_run(duration_ms=1233.96, init_ms=463.512, log=b'{"level":"INFO","message":"hi"}\n')

    start, own, report = (json.loads(message) for message in messages(cold, logging)[1:])

    assert own == {"level": "INFO", "message": "hi"}
    assert start == {
        "time": "2025-10-09T08:53:20.470Z",
        "type": "platform.start",
        "record": {"requestId": ID, "version": "$LATEST"},
    }
    assert report["record"] == {
        "requestId": ID,
        "metrics": {
            "durationMs": 1233.96,
            "billedDurationMs": 1698,
            "memorySizeMB": 128,
            "maxMemoryUsedMB": 36,
            "initDurationMs": 463.512,
        },
        "status": "success",
    }


SUCCESS = a_run(init_ms=10)
FAILED = a_run(outcome=failure.exited(ID), status=RunStatus.ERROR, init_ms=10)
TO_START = ["platform.initStart", "platform.start"]
ALL = ["platform.initStart", "platform.initRuntimeDone", "platform.initReport", "platform.start"]
DONE, REPORT = "platform.runtimeDone", "platform.report"


@pytest.mark.parametrize(
    ("run", "level", "kinds"),
    [
        (SUCCESS, None, [*TO_START, REPORT]),
        (SUCCESS, "INFO", [*TO_START, REPORT]),
        (SUCCESS, "DEBUG", [*ALL, DONE, REPORT]),
        (SUCCESS, "WARN", []),
        (FAILED, "INFO", [*TO_START, DONE, REPORT]),
        (FAILED, "WARN", [DONE, REPORT]),
    ],
)
def test_the_system_level_chooses_the_platform_s_records(run: Run, level: str | None, kinds: list[str]) -> None:
    assert list(records(run, in_json(level))) == kinds


def test_a_failure_in_json_names_status_and_error_type() -> None:
    found = records(FAILED, in_json())

    assert (found[REPORT]["status"], found[REPORT]["errorType"]) == ("error", "Runtime.ExitError")
    assert found[DONE]["metrics"]["producedBytes"] == len(failure.exited(ID).payload)


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        (None, ["plain", "none", "odd", "info", "warn", "error", "own"]),
        ("TRACE", ["plain", "none", "odd", "trace", "debug", "info", "warn", "error", "own"]),
        ("DEBUG", ["plain", "none", "odd", "debug", "info", "warn", "error", "own"]),
        ("WARN", ["warn", "error", "own"]),
        ("ERROR", ["error", "own"]),
        ("FATAL", []),
    ],
)
def test_the_application_level_drops_lines_and_plain_text_counts_as_info(level: str | None, kept: list[str]) -> None:
    lines = {
        "plain": "plain text",
        "none": '{"no": "level"}',
        "odd": '{"level": ["ODD"]}',
        "trace": '{"level": "trace"}',
        "debug": '{"level": "DEBUG"}',
        "info": '{"level": "Info"}',
        "warn": '{"level": "WARNING"}',
        "error": '{"level": "ERROR"}',
        "own": '{"log_level": "ERROR"}',
    }
    run = a_run(log="\n".join(lines.values()).encode())

    found = messages(run, in_json("WARN", level))

    assert found == [lines[name] + "\n" for name in kept]


def test_the_application_level_says_nothing_about_text() -> None:
    logging = LoggingConfig(group="g", application_level="FATAL", system_level="WARN")

    assert len(messages(a_run(log=b"plain\n"), logging)) == 4


def test_an_init_that_failed_has_a_line_of_its_own() -> None:
    told = {"at_ms": AT_MS, "init_ms": 10_009.13, "phase": "init"}

    assert init_report(TEXT, **told, status=RunStatus.TIMEOUT) == (  # type: ignore[arg-type]
        "INIT_REPORT Init Duration: 10009.13 ms\tPhase: init\tStatus: timeout\n"
    )
    assert init_report(TEXT, **told, status=RunStatus.ERROR, error_type="Odd") == (  # type: ignore[arg-type]
        "INIT_REPORT Init Duration: 10009.13 ms\tPhase: init\tStatus: error\tError Type: Odd\n"
    )
    record = json.loads(init_report(in_json(), **told, status=RunStatus.ERROR, error_type="Odd"))  # type: ignore[arg-type]
    assert record["type"] == "platform.initReport"
    assert record["record"]["metrics"] == {"durationMs": 10_009.13}
    assert (record["record"]["phase"], record["record"]["errorType"]) == ("init", "Odd")


durations = st.floats(min_value=0, max_value=1e6)


@pytest.mark.property
@given(durations, st.none() | durations)
def test_what_is_billed_covers_the_whole_run_and_at_most_one_millisecond_more(
    duration: float, init: float | None
) -> None:
    total = duration + (init or 0)
    billed = billed_ms(a_run(duration_ms=duration, init_ms=init))

    assert billed >= 1
    assert total - 0.001 <= billed <= max(1, math.ceil(total))


@pytest.mark.property
@given(
    st.binary(max_size=6_000),
    st.sampled_from([TEXT, in_json(), in_json("DEBUG", "TRACE"), in_json("WARN", "ERROR")]),
    st.sampled_from([SUCCESS, FAILED]),
)
def test_any_output_makes_whole_events_and_a_bounded_tail(log: bytes, logging: LoggingConfig, like: Run) -> None:
    run = a_run(outcome=like.outcome, status=like.status, log=log)
    found = messages(run, logging)

    assert all(message.endswith("\n") and message.count("\n") == 1 for message in found)
    assert log_tail(ID, run, logging) == "".join(found).encode()[-4_096:]
    if logging is TEXT:
        assert "".join(found[1:-2]).removesuffix("\n") == log.decode(errors="replace").removesuffix("\n")
