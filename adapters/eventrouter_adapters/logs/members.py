"""What becomes of every input member of every operation of CloudWatch Logs that is served."""

from __future__ import annotations

from eventrouter.api.registry import Applied, Entry, NotApplicable, Refused

_TESTS = "tests/adapters/test_logs_operations.py::"

_GROUP: dict[str, Entry] = {
    "logGroupName": Applied(_TESTS + "test_a_group_is_named_or_identified_by_arn"),
    "logGroupIdentifier": Applied(_TESTS + "test_a_group_is_named_or_identified_by_arn"),
}
_UNMASK = NotApplicable("nothing is masked: there are no data protection policies")
_LINKED = Refused("there are no linked accounts")
_GROUP_LIST = Applied(_TESTS + "test_groups_are_listed_by_prefix_pattern_identifier_and_class")
_GROUP_PAGES = Applied(_TESTS + "test_groups_and_streams_are_listed_in_pages")
_STREAM_ORDER = Applied(_TESTS + "test_streams_are_listed_by_name_or_by_the_time_of_their_last_event")
_HEAD_OR_TAIL = Applied(_TESTS + "test_events_of_a_stream_are_read_from_its_head_or_its_tail")
_TIME_RANGE = Applied(_TESTS + "test_get_log_events_excludes_the_end_and_filter_log_events_includes_it")
_TOKENS = Applied(_TESTS + "test_the_same_token_comes_back_at_the_end_of_a_stream")
_FILTER_PAGES = Applied(_TESTS + "test_filtered_events_come_in_pages_up_to_the_limit")
_FILTER_STREAMS = Applied(_TESTS + "test_filtered_events_are_restricted_to_streams_by_name_or_prefix")

MEMBERS: dict[str, dict[str, Entry]] = {
    "DescribeLogGroups": {
        "accountIdentifiers": _LINKED,
        "logGroupNamePrefix": _GROUP_LIST,
        "logGroupNamePattern": _GROUP_LIST,
        "nextToken": _GROUP_PAGES,
        "limit": _GROUP_PAGES,
        "includeLinkedAccounts": _LINKED,
        "logGroupClass": _GROUP_LIST,
        "logGroupIdentifiers": _GROUP_LIST,
    },
    "DescribeLogStreams": {
        **_GROUP,
        "logStreamNamePrefix": _STREAM_ORDER,
        "orderBy": _STREAM_ORDER,
        "descending": _STREAM_ORDER,
        "nextToken": _GROUP_PAGES,
        "limit": _GROUP_PAGES,
    },
    "FilterLogEvents": {
        **_GROUP,
        "logStreamNames": _FILTER_STREAMS,
        "logStreamNamePrefix": _FILTER_STREAMS,
        "startTime": _TIME_RANGE,
        "endTime": _TIME_RANGE,
        "filterPattern": Applied(_TESTS + "test_filtered_events_match_the_pattern"),
        "nextToken": _FILTER_PAGES,
        "limit": _FILTER_PAGES,
        "startFromHead": Applied(_TESTS + "test_the_latest_events_come_first_when_asked_for"),
        "interleaved": NotApplicable("AWS ignores it too: events are always interleaved"),
        "unmask": _UNMASK,
    },
    "GetLogEvents": {
        **_GROUP,
        "logStreamName": _HEAD_OR_TAIL,
        "startTime": _TIME_RANGE,
        "endTime": _TIME_RANGE,
        "nextToken": _TOKENS,
        "limit": _TOKENS,
        "startFromHead": _HEAD_OR_TAIL,
        "unmask": _UNMASK,
    },
}
