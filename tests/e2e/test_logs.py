"""What a function prints and what the node adds: LogType=Tail and the CloudWatch Logs operations."""

from __future__ import annotations

import json
import re

from tests.e2e.accounts import Account
from tests.e2e.nodes import wait_until

REPORT = re.compile(
    r"REPORT RequestId: (?P<id>[0-9a-f-]{36})\tDuration: (?P<duration>\d+\.\d\d) ms\t"
    r"Billed Duration: (?P<billed>\d+) ms\tMemory Size: (?P<size>\d+) MB\tMax Memory Used: (?P<used>\d+) MB\t"
    r"(?:Init Duration: (?P<init>\d+\.\d\d) ms\t)?(?P<rest>.*)\n"
)
TALK = "import sys\ndef handler(event, context):\n    print('out')\n    print('err', file=sys.stderr)\n"


def test_row_58_the_tail_has_start_output_end_and_a_report_that_bills_the_init(account: Account) -> None:
    name = account.function(TALK)

    cold, warm = (account.invoke(name, {}, LogType="Tail") for _ in range(2))

    for answer in (cold, warm):
        lines = answer.log.splitlines(keepends=True)
        assert lines[0] == f"START RequestId: {answer.request_id} Version: $LATEST\n"
        assert sorted(lines[1:3]) == ["err\n", "out\n"]
        assert lines[3] == f"END RequestId: {answer.request_id}\n"
        found = REPORT.fullmatch(lines[4])
        assert found, lines[4]
        assert (found["id"], found["size"], found["rest"]) == (answer.request_id, "128", "")
        total = float(found["duration"]) + float(found["init"] or 0)
        assert -0.02 < int(found["billed"]) - total < 1.02
        assert (found["init"] is not None) == (answer is cold)


def test_the_tail_is_the_last_4096_bytes(account: Account) -> None:
    name = account.function("def handler(event, context):\n    for n in range(1000):\n        print('line', n)\n")

    log = account.invoke(name, {}, LogType="Tail").log

    assert len(log.encode()) == 4096
    assert "line 999\n" in log
    assert REPORT.fullmatch(log.splitlines(keepends=True)[-1])


def test_row_59_a_timeout_is_told_by_the_report_s_status_alone(account: Account) -> None:
    name = account.function("import time\ndef handler(event, context):\n    time.sleep(30)\n", Timeout=1)

    log = account.invoke(name, {}, LogType="Tail").log

    assert "Task timed out" not in log
    found = REPORT.fullmatch(log.splitlines(keepends=True)[-1])
    assert found, log
    assert found["rest"].strip() == "Status: timeout"
    assert float(found["duration"]) >= 1000


def test_a_crash_is_told_by_the_report_s_status_and_error_type(account: Account) -> None:
    name = account.function(
        "import os\ndef handler(event, context):\n    print('last words', flush=True)\n    os._exit(1)\n"
    )

    log = account.invoke(name, {}, LogType="Tail").log

    assert "last words\n" in log
    found = REPORT.fullmatch(log.splitlines(keepends=True)[-1])
    assert found, log
    assert found["rest"].strip("\t") == "Status: error\tError Type: Runtime.ExitError"


def test_an_exception_is_logged_with_its_trace_in_one_event(account: Account) -> None:
    name = account.function("def handler(event, context):\n    raise ValueError('no')\n")

    log = account.invoke(name, {}, LogType="Tail").log

    assert "[ERROR] ValueError: no\r" in log
    assert 'File "/var/task/app.py", line 2, in handler' in log


def test_the_logging_module_writes_lambda_s_format(account: Account) -> None:
    name = account.function("import logging\ndef handler(event, context):\n    logging.warning('careful')\n")

    answer = account.invoke(name, {}, LogType="Tail")

    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.search(rf"^\[WARNING\]\t{stamp}\t{answer.request_id}\tcareful$", answer.log, re.MULTILINE), answer.log


def test_the_json_format_has_platform_records_and_json_lines(account: Account) -> None:
    source = (
        "import logging\ndef handler(event, context):\n    logging.getLogger().error('broken', extra={'part': 7})\n"
    )
    name = account.function(source, LoggingConfig={"LogFormat": "JSON"})

    answer = account.invoke(name, {}, LogType="Tail")

    records = [json.loads(line) for line in answer.log.splitlines()]
    platform = {record["type"]: record["record"] for record in records if "type" in record}
    assert platform["platform.start"]["requestId"] == answer.request_id
    assert platform["platform.report"]["status"] == "success"
    assert platform["platform.report"]["metrics"]["memorySizeMB"] == 128
    (line,) = [record for record in records if "type" not in record]
    assert (line["level"], line["message"], line["part"]) == ("ERROR", "broken", 7)
    assert line["requestId"] == answer.request_id


def test_the_logs_client_reads_streams_and_events_in_order(account: Account) -> None:
    name = account.function(TALK)
    request_ids = [account.invoke(name, {}).request_id for _ in range(2)]
    group = f"/aws/lambda/{name}"

    def messages() -> list[str]:
        streams = account.logs.describe_log_streams(logGroupName=group)["logStreams"]
        if not streams:
            return []
        assert len(streams) == 1
        stream = streams[0]["logStreamName"]
        answer = account.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
        return [event["message"] for event in answer["events"]]

    def is_whole() -> bool:
        return sum(message.startswith("REPORT") for message in messages()) == 2

    wait_until("both reports", lambda: _exists(account, group) and is_whole())
    kinds = [message.split()[0] for message in messages()]
    run = ["START", "out", "err", "END", "REPORT"]
    assert kinds[0] == "INIT_START"
    assert [sorted(kinds[1:6]), sorted(kinds[6:])] == [sorted(run), sorted(run)]
    filtered = account.logs.filter_log_events(logGroupName=group)["events"]
    assert [event["message"] for event in filtered] == messages()
    starts = [event["message"] for event in filtered if event["message"].startswith("START")]
    assert [start.split()[2] for start in starts] == request_ids


def _exists(account: Account, group: str) -> bool:
    try:
        return bool(account.logs.describe_log_streams(logGroupName=group)["logStreams"])
    except account.logs.exceptions.ResourceNotFoundException:
        return False
