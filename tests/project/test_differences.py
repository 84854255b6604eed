"""What counts as different between a declaration and a node."""

import pytest

from eventrouter.api.protocol.models import service_model
from eventrouter.project.differences import changes, with_defaults

pytestmark = pytest.mark.unit

FUNCTION = service_model("lambda").operation("UpdateFunctionConfiguration").input
MAPPING = service_model("lambda").operation("CreateEventSourceMapping").input


@pytest.mark.parametrize(
    ("declared", "current"),
    [
        ({"Timeout": 3}, {"Timeout": 3, "MemorySize": 128}),
        ({"Environment": {"Variables": {}}}, {}),
        ({"DeadLetterConfig": {"TargetArn": ""}}, {"DeadLetterConfig": {}}),
        ({"LoggingConfig": {"LogFormat": "JSON"}}, {"LoggingConfig": {"LogFormat": "JSON", "LogGroup": "g"}}),
        ({"Description": ""}, {"Description": ""}),
        ({"VpcConfig": {"SubnetIds": ["a"]}}, {"VpcConfig": {"SubnetIds": ["a"], "VpcId": ""}}),
    ],
)
def test_what_is_shown_beyond_the_declaration_is_no_difference(declared, current):
    assert changes(FUNCTION, declared, current) == ()


@pytest.mark.parametrize(
    ("declared", "current"),
    [
        ({"Timeout": 4}, {"Timeout": 3}),
        ({"Timeout": 4}, {}),
        ({"Environment": {"Variables": {"A": "1"}}}, {}),
        ({"Environment": {"Variables": {"A": "1"}}}, {"Environment": {"Variables": {"A": "1", "B": "2"}}}),
        ({"Environment": {"Variables": {}}}, {"Environment": {"Variables": {"A": "1"}}}),
        ({"Environment": {"Variables": {"A": "1"}}}, {"Environment": {"Variables": {"A": "2"}}}),
        ({"VpcConfig": {"SubnetIds": ["a", "b"]}}, {"VpcConfig": {"SubnetIds": ["b", "a"]}}),
        ({"DeadLetterConfig": {"TargetArn": ""}}, {"DeadLetterConfig": {"TargetArn": "arn"}}),
    ],
)
def test_values_maps_and_lists_are_compared_whole(declared, current):
    (change,) = changes(FUNCTION, declared, current)

    assert (change.member,) == tuple(declared)
    assert (change.before, change.after) == (current.get(change.member), declared[change.member])


def test_false_and_zero_are_values():
    declared = {"BisectBatchOnFunctionError": False, "MaximumRetryAttempts": 0}

    assert changes(MAPPING, declared, declared) == ()
    assert len(changes(MAPPING, declared, {"BisectBatchOnFunctionError": True, "MaximumRetryAttempts": -1})) == 2


def test_times_are_compared_as_instants():
    from datetime import UTC, datetime

    at = datetime(2026, 1, 31, tzinfo=UTC)

    assert changes(MAPPING, {"StartingPositionTimestamp": at}, {"StartingPositionTimestamp": at.timestamp()}) == ()
    assert changes(MAPPING, {"StartingPositionTimestamp": at}, {"StartingPositionTimestamp": 1.0}) != ()


def test_defaults_stand_where_nothing_is_declared_in_structures_too():
    defaults = {"Timeout": 3, "LoggingConfig": {"LogFormat": "Text", "LogGroup": "g"}}

    assert with_defaults(defaults, {"LoggingConfig": {"LogFormat": "JSON"}, "MemorySize": 256}) == {
        "Timeout": 3,
        "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "g"},
        "MemorySize": 256,
    }
