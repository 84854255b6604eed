"""The operations of CloudWatch Logs that read what functions logged. Source: lambda-semantics §9.4."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from eventrouter.ports import Caller, Operation
from eventrouter.store.logs import LogEvent, LogGroup, Logs, LogStream, is_place, just_after, just_before
from eventrouter_adapters.logs import errors
from eventrouter_adapters.logs.patterns import Matcher, parse_pattern

EVENTS_MAXIMUM = 10_000
DESCRIBE_MAXIMUM = 50
STREAMS_IN_STORE = 100
"""More wanted streams than this are picked here instead of by the store."""

FILTER_STEP = 1_000
FILTER_STEPS = 50
"""A call with a pattern looks at no more than this many times FILTER_STEP events; then it answers with a token."""

_DAY_MS = 86_400_000
_BEGINNING = "0-0-0"
_GROUP_ARN = re.compile(r"arn:aws[a-z-]*:logs:([a-z0-9-]+):(\d{12}):log-group:([^:*]+)(?::\*)?")

Members = Mapping[str, Any]


class LogService:
    """CloudWatch Logs, as far as it is served."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def operations(self) -> dict[str, Operation]:
        """Return every operation by its name on the wire."""
        return {
            "DescribeLogGroups": self.describe_log_groups,
            "DescribeLogStreams": self.describe_log_streams,
            "FilterLogEvents": self.filter_log_events,
            "GetLogEvents": self.get_log_events,
        }

    async def describe_log_groups(self, caller: Caller, members: Members) -> Members:
        """Answer with the log groups of the caller, by name."""
        prefix, pattern = members.get("logGroupNamePrefix"), members.get("logGroupNamePattern")
        if prefix and pattern:
            raise errors.invalid_parameter(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
            )
        if members.get("includeLinkedAccounts") or members.get("accountIdentifiers"):
            raise errors.invalid_parameter(
                "Linked accounts (includeLinkedAccounts, accountIdentifiers) are not served."
            )
        groups = await self._logs.groups(caller.account, caller.region, prefix or "")
        if pattern:
            groups = [group for group in groups if pattern in group.name]
        if (identifiers := members.get("logGroupIdentifiers")) is not None:
            names = {_group_of(caller, identifier) for identifier in identifiers}
            groups = [group for group in groups if group.name in names]
        if members.get("logGroupClass") not in (None, "STANDARD"):
            groups = []
        after = _decode_page(members.get("nextToken"))
        page, token = _page([group for group in groups if group.name > after], members, lambda group: group.name)
        return {"logGroups": [_shown_group(caller, group) for group in page], **token}

    async def describe_log_streams(self, caller: Caller, members: Members) -> Members:
        """Answer with the log streams of a group, by name or by the time of their last event."""
        group = await self._existing_group(caller, members)
        by_time = members.get("orderBy") == "LastEventTime"
        prefix = members.get("logStreamNamePrefix")
        if by_time and prefix:
            raise errors.invalid_parameter("Cannot order by LastEventTime with a logStreamNamePrefix.")

        def key(stream: LogStream) -> str:
            return f"{stream.last_event_at_ms:020d} {stream.name}" if by_time else stream.name

        descending = bool(members.get("descending"))
        found = await self._logs.streams(caller.account, caller.region, group, prefix or "")
        after = _decode_page(members.get("nextToken"))
        behind = [
            stream
            for stream in sorted(found, key=key, reverse=descending)
            if not after or (key(stream) < after if descending else key(stream) > after)
        ]
        page, token = _page(behind, members, key)
        return {"logStreams": [_shown_stream(caller, group, stream) for stream in page], **token}

    async def get_log_events(self, caller: Caller, members: Members) -> Members:
        """Answer with events of one stream, in order; the same token as given says that there is no more."""
        group = await self._existing_group(caller, members)
        stream = members["logStreamName"]
        if not await self._logs.existing_streams(*_of(caller, group), [stream]):
            raise errors.no_such_stream()
        token = members.get("nextToken")
        direction, place = _decode_place(token)
        backward = direction == "b" if token else not members.get("startFromHead")
        end_ms = members.get("endTime")
        page = await self._logs.read(
            *_of(caller, group),
            streams=frozenset({stream}),
            start_ms=members.get("startTime"),
            end_ms=None if end_ms is None else end_ms - 1,
            after=place,
            limit=members.get("limit") or EVENTS_MAXIMUM,
            backward=backward,
        )
        events = list(reversed(page.events)) if backward else list(page.events)
        if events:
            first, last = events[0].id, events[-1].id
        else:  # both tokens lead away from the place that was asked about, and the one in its direction stays
            at = place or _BEGINNING
            first, last = (at, just_before(at)) if backward else (just_after(at), at)
        return {
            "events": [
                {"timestamp": event.timestamp_ms, "message": event.message, "ingestionTime": event.ingested_at_ms}
                for event in events
            ],
            "nextForwardToken": f"f/{last}",
            "nextBackwardToken": f"b/{first}",
        }

    async def filter_log_events(self, caller: Caller, members: Members) -> Members:
        """Answer with the events of a group that match, from any of its streams, in order of time."""
        group = await self._existing_group(caller, members)
        streams = await self._wanted_streams(caller, group, members)
        pattern = members.get("filterPattern") or ""
        try:
            matches = parse_pattern(pattern)
        except ValueError as error:
            raise errors.invalid_parameter(f"Invalid filter pattern {pattern}: {error}") from error
        token = members.get("nextToken")
        direction, place = _decode_place(token)
        backward = direction == "b" if token else members.get("startFromHead") is False
        events, place = await self._matching(caller, group, members, streams, matches, place, backward=backward)
        events.sort(key=lambda event: event.timestamp_ms, reverse=backward)
        answer: dict[str, Any] = {
            "events": [
                {
                    "logStreamName": event.stream,
                    "timestamp": event.timestamp_ms,
                    "message": event.message,
                    "ingestionTime": event.ingested_at_ms,
                    "eventId": _event_id(event),
                }
                for event in events
            ],
            "searchedLogStreams": [],
        }
        if place is not None:
            answer["nextToken"] = f"{'b' if backward else 'f'}/{place}"
        return answer

    async def _matching(
        self,
        caller: Caller,
        group: str,
        members: Members,
        streams: frozenset[str] | None,
        matches: Matcher,
        place: str | None,
        *,
        backward: bool,
    ) -> tuple[list[LogEvent], str | None]:
        """Return the next matching events, and where to go on; None at the end."""
        limit = members.get("limit") or EVENTS_MAXIMUM
        picked = streams if streams is not None and len(streams) <= STREAMS_IN_STORE else None
        events: list[LogEvent] = []
        for _ in range(FILTER_STEPS):
            page = await self._logs.read(
                *_of(caller, group),
                streams=picked,
                start_ms=members.get("startTime"),
                end_ms=members.get("endTime"),
                after=place,
                limit=FILTER_STEP,
                backward=backward,
            )
            for event in page.events:
                if (streams is None or event.stream in streams) and matches(event.message):
                    if len(events) == limit:
                        return events, events[-1].id
                    events.append(event)
            place = page.next
            if place is None:
                break
        return events, place

    async def _existing_group(self, caller: Caller, members: Members) -> str:
        """Return the name of the group that a request is about. Raises RequestError if there is none."""
        name, identifier = members.get("logGroupName"), members.get("logGroupIdentifier")
        if bool(name) == bool(identifier):
            raise errors.invalid_parameter("Exactly one of logGroupName and logGroupIdentifier must be given.")
        group = str(name or _group_of(caller, str(identifier)))
        if not await self._logs.has_group(caller.account, caller.region, group):
            raise errors.no_such_group()
        return group

    async def _wanted_streams(self, caller: Caller, group: str, members: Members) -> frozenset[str] | None:
        """Return the names of the streams that FilterLogEvents is restricted to; None for all."""
        names, prefix = members.get("logStreamNames"), members.get("logStreamNamePrefix")
        if names and prefix:
            raise errors.invalid_parameter("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
        if names:
            existing = await self._logs.existing_streams(*_of(caller, group), names)
            if not existing.issuperset(names):
                raise errors.no_such_stream()
            return existing
        if prefix:
            return frozenset(stream.name for stream in await self._logs.streams(*_of(caller, group), prefix=prefix))
        return None


def _of(caller: Caller, group: str) -> tuple[str, str, str]:
    return caller.account, caller.region, group


def _group_of(caller: Caller, identifier: str) -> str:
    """Return the group that a name or an ARN of the caller's own account and region means."""
    if not identifier.startswith("arn:"):
        return identifier
    match = _GROUP_ARN.fullmatch(identifier)
    if match is None:
        raise errors.invalid_parameter(f"{identifier} is not the ARN of a log group.")
    if (match[1], match[2]) != (caller.region, caller.account):
        raise errors.no_such_group()
    return match[3]


def _page(found: Sequence[Any], members: Members, key: Any) -> tuple[Sequence[Any], dict[str, str]]:
    """Cut `found` at the request's limit, and make the token that leads on behind the cut."""
    limit = members.get("limit") or DESCRIBE_MAXIMUM
    if len(found) <= limit:
        return found, {}
    page = found[:limit]
    return page, {"nextToken": base64.urlsafe_b64encode(key(page[-1]).encode()).decode()}


def _decode_page(token: str | None) -> str:
    try:
        return base64.b64decode(token or "", altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise errors.invalid_token() from error


def _decode_place(token: str | None) -> tuple[str, str | None]:
    """Return the direction, `f` or `b`, and the place of a token; none without a token."""
    if token is None:
        return "", None
    direction, _, place = token.partition("/")
    if direction not in ("f", "b") or not is_place(place):
        raise errors.invalid_token()
    return direction, place


def _event_id(event: LogEvent) -> str:
    """Return a number of 56 digits that is unique in the group and grows with the place."""
    at_ms, sequence, line = (int(part) for part in event.id.split("-"))
    return f"{at_ms:020d}{sequence:020d}{line:016d}"


def _arn(caller: Caller, group: str) -> str:
    return f"arn:aws:logs:{caller.region}:{caller.account}:log-group:{group}"


def _shown_group(caller: Caller, group: LogGroup) -> Members:
    arn = _arn(caller, group.name)
    return {
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "creationTime": group.created_at_ms,
        "logGroupClass": "STANDARD",
        "logGroupName": group.name,
        "metricFilterCount": 0,
        "storedBytes": group.stored_bytes,
        "deletionProtectionEnabled": False,
        "retentionInDays": max(1, round(group.retention_ms / _DAY_MS)),
    }


def _shown_stream(caller: Caller, group: str, stream: LogStream) -> Members:
    return {
        "arn": f"{_arn(caller, group)}:log-stream:{stream.name}",
        "creationTime": stream.created_at_ms,
        "logStreamName": stream.name,
        "storedBytes": 0,
        "firstEventTimestamp": stream.first_event_at_ms,
        "lastEventTimestamp": stream.last_event_at_ms,
        "lastIngestionTime": stream.last_ingested_at_ms,
    }
