"""CloudWatch Logs as its callers see it, in virtual time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from eventrouter.store import LogChunk, LogLine
from tests.adapters.world import CALLER, EPOCH_MS, World, play, refused

pytestmark = pytest.mark.integration

GROUP = "/aws/lambda/orders"
ARN = f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}"
RETENTION_MS = 14 * 86_400_000


async def log(world: World, stream: str, *lines: str, group: str = GROUP, at_ms: int | None = None) -> None:
    """Append lines that happened a millisecond after another, from now or `at_ms` on; then a second passes."""
    first = world.clock.now_ms() if at_ms is None else at_ms
    chunk = LogChunk(
        account=CALLER.account,
        region=CALLER.region,
        group=group,
        stream=stream,
        lines=tuple(LogLine(timestamp_ms=first + index, message=line) for index, line in enumerate(lines)),
    )
    await world.store.logs.append([chunk], max_bytes=1 << 24, retention_ms=RETENTION_MS)
    await world.clock.sleep(1)


def texts(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def names(answer: dict[str, Any]) -> list[str]:
    return [stream["logStreamName"] for stream in answer["logStreams"]]


def test_a_group_is_named_or_identified_by_arn() -> None:
    async def scenario(world: World) -> None:
        await log(world, "s", "hello")
        for operation, more in (
            ("FilterLogEvents", {}),
            ("GetLogEvents", {"logStreamName": "s"}),
            ("DescribeLogStreams", {}),
        ):
            by_name = await world.logs(operation, logGroupName=GROUP, **more)
            for identifier in (GROUP, ARN, f"{ARN}:*"):
                assert await world.logs(operation, logGroupIdentifier=identifier, **more) == by_name
            missing = await refused(world.logs(operation, logGroupName="/none", **more))
            assert (missing.code, missing.message) == (
                "ResourceNotFoundException",
                "The specified log group does not exist.",
            )
            for wrong in ({}, {"logGroupName": GROUP, "logGroupIdentifier": GROUP}, {"logGroupIdentifier": "arn:x"}):
                assert (await refused(world.logs(operation, **wrong, **more))).code == "InvalidParameterException"
            far = await refused(world.logs(operation, logGroupIdentifier=ARN.replace("us-east-1", "eu-west-1"), **more))
            assert far.code == "ResourceNotFoundException"
            stranger = dataclasses.replace(CALLER, account="111111111111")
            other = await refused(world.logs(operation, logGroupName=GROUP, caller=stranger, **more))
            assert other.code == "ResourceNotFoundException"

    play(scenario)


def test_groups_are_listed_by_prefix_pattern_identifier_and_class() -> None:
    async def scenario(world: World) -> None:
        for group in (GROUP, "/aws/lambda/audit", "/own/Orders"):
            await log(world, "s", "x", group=group)

        async def listed(**members: Any) -> list[str]:
            answer = await world.logs("DescribeLogGroups", **members)
            return [group["logGroupName"] for group in answer["logGroups"]]

        assert await listed() == ["/aws/lambda/audit", GROUP, "/own/Orders"]
        assert await listed(logGroupNamePrefix="/aws") == ["/aws/lambda/audit", GROUP]
        assert await listed(logGroupNamePattern="rders") == [GROUP, "/own/Orders"]
        assert await listed(logGroupIdentifiers=[ARN, "/own/Orders"]) == [GROUP, "/own/Orders"]
        assert len(await listed(logGroupClass="STANDARD")) == 3
        assert await listed(logGroupClass="INFREQUENT_ACCESS") == []
        both = await refused(world.logs("DescribeLogGroups", logGroupNamePrefix="a", logGroupNamePattern="b"))
        assert both.message == "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        linked = await refused(world.logs("DescribeLogGroups", includeLinkedAccounts=True))
        assert "includeLinkedAccounts" in linked.message
        [entry] = (await world.logs("DescribeLogGroups", logGroupNamePrefix=GROUP))["logGroups"]
        assert entry.pop("storedBytes") > 0
        assert entry == {
            "arn": f"{ARN}:*",
            "logGroupArn": ARN,
            "creationTime": EPOCH_MS,
            "logGroupClass": "STANDARD",
            "logGroupName": GROUP,
            "metricFilterCount": 0,
            "deletionProtectionEnabled": False,
            "retentionInDays": 14,
        }

    play(scenario)


def test_groups_and_streams_are_listed_in_pages() -> None:
    async def scenario(world: World) -> None:
        for name in ("/a", "/b", "/c"):
            await log(world, "s1", "x", group=name)
        for stream in ("s2", "s3"):
            await log(world, stream, "x", group="/a")

        first = await world.logs("DescribeLogGroups", limit=2)
        rest = await world.logs("DescribeLogGroups", limit=2, nextToken=first["nextToken"])
        assert [group["logGroupName"] for group in first["logGroups"] + rest["logGroups"]] == ["/a", "/b", "/c"]
        assert "nextToken" not in rest
        for order in ({}, {"orderBy": "LastEventTime"}, {"descending": True}):
            whole = names(await world.logs("DescribeLogStreams", logGroupName="/a", **order))
            page = await world.logs("DescribeLogStreams", logGroupName="/a", limit=2, **order)
            token = page["nextToken"]
            tail = await world.logs("DescribeLogStreams", logGroupName="/a", limit=2, nextToken=token, **order)
            assert names(page) + names(tail) == whole
            assert "nextToken" not in tail
        wrong = await refused(world.logs("DescribeLogStreams", logGroupName="/a", nextToken="%%"))
        assert wrong.message == "The specified nextToken is invalid."

    play(scenario)


def test_streams_are_listed_by_name_or_by_the_time_of_their_last_event() -> None:
    async def scenario(world: World) -> None:
        for stream in ("b/1", "a/1", "b/2"):
            await log(world, stream, "x", "y")

        async def listed(**members: Any) -> list[str]:
            return names(await world.logs("DescribeLogStreams", logGroupName=GROUP, **members))

        assert await listed() == ["a/1", "b/1", "b/2"]
        assert await listed(orderBy="LogStreamName", descending=True) == ["b/2", "b/1", "a/1"]
        assert await listed(orderBy="LastEventTime") == ["b/1", "a/1", "b/2"]
        assert await listed(orderBy="LastEventTime", descending=True) == ["b/2", "a/1", "b/1"]
        assert await listed(logStreamNamePrefix="b/") == ["b/1", "b/2"]
        mixed = {"orderBy": "LastEventTime", "logStreamNamePrefix": "b"}
        error = await refused(world.logs("DescribeLogStreams", logGroupName=GROUP, **mixed))
        assert error.message == "Cannot order by LastEventTime with a logStreamNamePrefix."
        first = (await world.logs("DescribeLogStreams", logGroupName=GROUP, logStreamNamePrefix="b/1"))["logStreams"][0]
        assert first == {
            "arn": f"{ARN}:log-stream:b/1",
            "creationTime": EPOCH_MS,
            "logStreamName": "b/1",
            "storedBytes": 0,
            "firstEventTimestamp": EPOCH_MS,
            "lastEventTimestamp": EPOCH_MS + 1,
            "lastIngestionTime": EPOCH_MS,
        }

    play(scenario)


def test_events_of_a_stream_are_read_from_its_head_or_its_tail() -> None:
    async def scenario(world: World) -> None:
        await log(world, "s", "1", "2", "3")
        await log(world, "other", "x")
        await log(world, "s", "4")
        stream = {"logGroupName": GROUP, "logStreamName": "s"}

        whole = await world.logs("GetLogEvents", **stream)
        head = await world.logs("GetLogEvents", **stream, startFromHead=True, limit=2)
        tail = await world.logs("GetLogEvents", **stream, limit=2)

        assert whole["events"][0] == {"timestamp": EPOCH_MS, "message": "1", "ingestionTime": EPOCH_MS}
        assert texts(whole) == ["1", "2", "3", "4"]
        assert texts(head) == ["1", "2"]
        assert texts(tail) == ["3", "4"]
        error = await refused(world.logs("GetLogEvents", logGroupName=GROUP, logStreamName="none"))
        assert error.message == "The specified log stream does not exist."

    play(scenario)


def test_the_same_token_comes_back_at_the_end_of_a_stream() -> None:
    async def scenario(world: World) -> None:
        for number in range(5):
            await log(world, "s", str(number))
        stream = {"logGroupName": GROUP, "logStreamName": "s", "limit": 2}

        found, token = [], None
        page = await world.logs("GetLogEvents", **stream, startFromHead=True)
        while page["nextForwardToken"] != token:
            found += texts(page)
            token = page["nextForwardToken"]
            page = await world.logs("GetLogEvents", **stream, nextToken=token)
        assert found == ["0", "1", "2", "3", "4"]
        assert token.startswith("f/")
        assert texts(page) == []

        await log(world, "s", "5")
        assert texts(await world.logs("GetLogEvents", **stream, nextToken=token)) == ["5"]
        back = page["nextBackwardToken"]
        assert back.startswith("b/")
        found = []
        page = await world.logs("GetLogEvents", **stream, nextToken=back)
        while page["nextBackwardToken"] != back:
            found = texts(page) + found
            back = page["nextBackwardToken"]
            page = await world.logs("GetLogEvents", **stream, nextToken=back)
        assert found == ["0", "1", "2", "3", "4"]
        assert texts(await world.logs("GetLogEvents", **stream, nextToken=page["nextForwardToken"])) == ["0", "1"]
        for wrong in ("x", "f/", "f/x", "z/1-0-0", "f/1-0"):
            error = await refused(world.logs("GetLogEvents", **stream, nextToken=wrong))
            assert error.message == "The specified nextToken is invalid."

    play(scenario)


def test_get_log_events_excludes_the_end_and_filter_log_events_includes_it() -> None:
    async def scenario(world: World) -> None:
        await log(world, "s", "10", "11", "12", at_ms=10)
        times = {"logGroupName": GROUP, "startTime": 11, "endTime": 12}

        assert texts(await world.logs("GetLogEvents", logStreamName="s", **times)) == ["11"]
        assert texts(await world.logs("FilterLogEvents", **times)) == ["11", "12"]

    play(scenario)


def test_filtered_events_come_from_all_streams_in_order_of_time() -> None:
    async def scenario(world: World) -> None:
        await log(world, "late", "20", "21", at_ms=20)
        await log(world, "early", "10", at_ms=10)

        answer = await world.logs("FilterLogEvents", logGroupName=GROUP)

        assert texts(answer) == ["10", "20", "21"]
        first = answer["events"][0]
        assert len(first.pop("eventId")) == 56
        assert first == {
            "logStreamName": "early",
            "timestamp": 10,
            "message": "10",
            "ingestionTime": EPOCH_MS + 1_000,
        }
        assert len({event.get("eventId") for event in answer["events"]}) == 3
        assert "nextToken" not in answer

    play(scenario)


def test_filtered_events_are_restricted_to_streams_by_name_or_prefix() -> None:
    async def scenario(world: World) -> None:
        for stream in ("a/1", "a/2", "b/1"):
            await log(world, stream, stream)

        async def found(**members: Any) -> list[str]:
            return texts(await world.logs("FilterLogEvents", logGroupName=GROUP, **members))

        assert await found(logStreamNames=["a/2", "b/1"]) == ["a/2", "b/1"]
        assert await found(logStreamNamePrefix="a/") == ["a/1", "a/2"]
        assert await found(logStreamNamePrefix="c/") == []
        missing = await refused(world.logs("FilterLogEvents", logGroupName=GROUP, logStreamNames=["none"]))
        assert missing.message == "The specified log stream does not exist."
        both = {"logStreamNames": ["a/1"], "logStreamNamePrefix": "a"}
        error = await refused(world.logs("FilterLogEvents", logGroupName=GROUP, **both))
        assert error.code == "InvalidParameterException"

    play(scenario)


def test_more_streams_than_a_script_is_told_are_picked_all_the_same() -> None:
    async def scenario(world: World) -> None:
        for number in range(130):
            await log(world, f"a/{number:03}", "x")
        await log(world, "b/1", "not this")

        answer = await world.logs("FilterLogEvents", logGroupName=GROUP, logStreamNamePrefix="a/")

        assert texts(answer) == ["x"] * 130

    play(scenario)


def test_filtered_events_match_the_pattern() -> None:
    async def scenario(world: World) -> None:
        await log(world, "s", "an ERROR", '{"level": "error", "ms": 3}', "fine")
        members = {"logGroupName": GROUP}

        assert texts(await world.logs("FilterLogEvents", **members, filterPattern="ERROR")) == ["an ERROR"]
        by_json = await world.logs("FilterLogEvents", **members, filterPattern='{ $.level = "error" && $.ms > 2 }')
        assert texts(by_json) == ['{"level": "error", "ms": 3}']
        error = await refused(world.logs("FilterLogEvents", **members, filterPattern="[a, b=5*]"))
        assert error.code == "InvalidParameterException"
        assert "[a, b=5*]" in error.message

    play(scenario)


def test_filtered_events_come_in_pages_up_to_the_limit() -> None:
    async def scenario(world: World) -> None:
        for number in range(7):
            await log(world, f"s{number % 2}", f"keep {number}", f"drop {number}")

        for pattern, expected in (("keep", 7), ("", 14)):
            found: list[str] = []
            token: dict[str, str] = {}
            while True:
                answer = await world.logs(
                    "FilterLogEvents", logGroupName=GROUP, filterPattern=pattern, limit=3, **token
                )
                assert len(answer["events"]) <= 3
                found += texts(answer)
                if "nextToken" not in answer:
                    break
                token = {"nextToken": answer["nextToken"]}
            assert len(found) == len(set(found)) == expected
        error = await refused(world.logs("FilterLogEvents", logGroupName=GROUP, nextToken="nonsense"))
        assert error.message == "The specified nextToken is invalid."

    play(scenario)


def test_the_latest_events_come_first_when_asked_for() -> None:
    async def scenario(world: World) -> None:
        for number in range(4):
            await log(world, "s", str(number))
        members = {"logGroupName": GROUP, "limit": 3}

        first = await world.logs("FilterLogEvents", **members, startFromHead=False)
        rest = await world.logs("FilterLogEvents", **members, nextToken=first["nextToken"])

        assert texts(first) == ["3", "2", "1"]
        assert texts(rest) == ["0"]

    play(scenario)


def test_appends_are_remembered_for_a_minute_only() -> None:
    async def scenario(world: World) -> None:
        for number in range(100):
            await log(world, "s", str(number))

        [key] = await world.store.scripts.command("KEYS", "*:ap")
        assert 55 <= await world.store.scripts.command("ZCARD", key) <= 61

    play(scenario)


def test_logs_past_their_retention_are_not_shown() -> None:
    async def scenario(world: World) -> None:
        await log(world, "s", "old")
        await world.clock.sleep(RETENTION_MS / 1_000)
        await log(world, "t", "new")

        assert texts(await world.logs("FilterLogEvents", logGroupName=GROUP)) == ["new"]
        assert names(await world.logs("DescribeLogStreams", logGroupName=GROUP)) == ["t"]

    play(scenario)
