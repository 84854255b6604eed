"""Scheduled rules through the operations of EventBridge. Source: lambda-semantics §6.5, §9.2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from eventrouter.rules.scheduled_rule import ScheduledRule
from tests.adapters.world import CALLER, EPOCH_MS, World, play, refused

pytestmark = pytest.mark.integration

ARN = "arn:aws:events:us-east-1:000000000000:rule/nightly"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
OTHERS = replace(CALLER, account="111111111111")


def a_rule(world: World, name: str = "nightly", **members: Any) -> Any:
    return world.events("PutRule", Name=name, **{"ScheduleExpression": "rate(5 minutes)", **members})


async def stored(world: World) -> ScheduledRule:
    [rule] = world.store.schedules.catalogue.all()
    return rule


async def due_in_s(world: World) -> float | None:
    """Return when the one rule there is fires, in seconds from the beginning."""
    value = await world.store.schedules.firings.read((await stored(world)).timer)
    return None if value is None else (int(value) - EPOCH_MS) / 1_000


def test_a_rule_is_described_as_it_was_put() -> None:
    async def scenario(world: World) -> None:
        put = await a_rule(world, Description="every night", RoleArn="arn:aws:iam::000000000000:role/r")

        assert put == {"RuleArn": ARN}
        assert await world.events("DescribeRule", Name="nightly") == {
            "Arn": ARN,
            "CreatedBy": "000000000000",
            "Description": "every night",
            "EventBusName": "default",
            "Name": "nightly",
            "RoleArn": "arn:aws:iam::000000000000:role/r",
            "ScheduleExpression": "rate(5 minutes)",
            "State": "ENABLED",
        }
        assert await due_in_s(world) == 300

    play(scenario)


def test_putting_a_rule_again_replaces_all_but_its_targets_and_tags() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world, Description="every night", Tags=[{"Key": "team", "Value": "a"}])
        await world.events("PutTargets", Rule="nightly", Targets=[{"Id": "1", "Arn": FUNCTION}])
        await a_rule(world, ScheduleExpression="cron(0 2 * * ? *)", Tags=[{"Key": "team", "Value": "b"}])

        described = await world.events("DescribeRule", Name="nightly")
        assert "Description" not in described
        assert described["ScheduleExpression"] == "cron(0 2 * * ? *)"
        assert len((await world.events("ListTargetsByRule", Rule="nightly"))["Targets"]) == 1
        tags = await world.events("ListTagsForResource", ResourceARN=ARN)
        assert tags == {"Tags": [{"Key": "team", "Value": "a"}]}

    play(scenario)


def test_a_changed_expression_counts_anew_and_other_changes_do_not() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        await world.clock.sleep(60)
        await a_rule(world, Description="the same")
        assert await due_in_s(world) == 300
        await a_rule(world, ScheduleExpression="rate(10 minutes)")
        assert await due_in_s(world) == 660
        assert await world.store.schedules.firings.count() == 1

    play(scenario)


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 minutes)",
        "rate(10 minute)",
        "rate( 10 minutes )",
        "cron(0 1 * * * *)",
        "cron(71 8 1 * ? *)",
        "daily",
        "cron(7 20 * * NOT *)",
        "at(2030-01-01T00:00:00)",
    ],
)
def test_an_expression_that_is_no_schedule_is_refused(expression: str) -> None:
    async def scenario(world: World) -> None:
        refusal = await refused(a_rule(world, ScheduleExpression=expression))

        assert (refusal.code, refusal.message) == (
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        )
        assert await world.events("ListRules") == {"Rules": []}

    play(scenario)


def test_rules_without_a_schedule_are_refused() -> None:
    async def scenario(world: World) -> None:
        pattern = await refused(world.events("PutRule", Name="n", EventPattern='{"source":["x"]}'))
        nothing = await refused(world.events("PutRule", Name="n"))
        trail = await refused(a_rule(world, State="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"))

        assert pattern.message.startswith("EventPattern of PutRule is not supported by eventrouter: ")
        assert nothing.message == "Parameter(s) EventPattern or ScheduleExpression must be specified."
        assert "CloudTrail" in trail.message

    play(scenario)


def test_there_is_no_event_bus_but_the_default_one() -> None:
    async def scenario(world: World) -> None:
        bus = "arn:aws:events:us-east-1:000000000000:event-bus/default"
        await a_rule(world, EventBusName=bus)
        scheduled = await refused(a_rule(world, EventBusName="mine"))
        assert scheduled.message == "ScheduleExpression is supported only on the default event bus."
        for operation, members in {
            "DescribeRule": {"Name": "nightly"},
            "DisableRule": {"Name": "nightly"},
            "EnableRule": {"Name": "nightly"},
            "DeleteRule": {"Name": "nightly"},
            "ListRules": {},
            "PutTargets": {"Rule": "nightly", "Targets": [{"Id": "1", "Arn": FUNCTION}]},
            "RemoveTargets": {"Rule": "nightly", "Ids": ["1"]},
            "ListTargetsByRule": {"Rule": "nightly"},
            "ListRuleNamesByTarget": {"TargetArn": FUNCTION},
        }.items():
            refusal = await refused(world.events(operation, EventBusName="mine", **members))
            assert (refusal.code, refusal.message) == (
                "ResourceNotFoundException",
                "Event bus mine does not exist.",
            ), operation
            await world.events(operation, EventBusName="default", **members)
            await a_rule(world)

    play(scenario)


def test_a_rule_that_does_not_exist_is_not_found() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        for operation in ("DescribeRule", "EnableRule", "DisableRule"):
            refusal = await refused(world.events(operation, Name="gone"))
            assert refusal.code == "ResourceNotFoundException"
            assert refusal.message == "Rule gone does not exist on EventBus default."
        assert (await refused(world.events("DescribeRule", Name="nightly", caller=OTHERS))).message

    play(scenario)


def test_a_rule_is_disabled_and_enabled() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world, State="DISABLED")
        assert (await world.events("DescribeRule", Name="nightly"))["State"] == "DISABLED"
        assert await due_in_s(world) is None

        await world.clock.sleep(60.5)
        await world.events("EnableRule", Name="nightly")
        assert (await world.events("DescribeRule", Name="nightly"))["State"] == "ENABLED"
        assert await due_in_s(world) == 360, "a rate counts from now, in whole seconds"
        await world.clock.sleep(60)
        await world.events("EnableRule", Name="nightly")
        assert await due_in_s(world) == 360, "it was enabled already"
        await world.events("DisableRule", Name="nightly")
        assert await world.store.schedules.firings.count() == 0

    play(scenario)


def test_rules_are_listed_by_prefix_and_in_pages() -> None:
    async def scenario(world: World) -> None:
        for name in ("b-1", "a-2", "a-1", "a-3"):
            await a_rule(world, name)
        await world.events("PutRule", Name="a-0", ScheduleExpression="rate(1 day)", caller=OTHERS)

        first = await world.events("ListRules", NamePrefix="a-", Limit=2)
        rest = await world.events("ListRules", NamePrefix="a-", Limit=2, NextToken=first["NextToken"])
        bad = await refused(world.events("ListRules", NextToken="?"))

        assert [rule["Name"] for rule in first["Rules"]] == ["a-1", "a-2"]
        assert [rule["Name"] for rule in rest["Rules"]] == ["a-3"]
        assert "NextToken" not in rest
        assert len((await world.events("ListRules"))["Rules"]) == 4
        assert bad.message == "Parameter NextToken is not valid."

    play(scenario)


def test_a_rule_without_targets_is_deleted() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        await world.events("PutTargets", Rule="nightly", Targets=[{"Id": "1", "Arn": FUNCTION}])
        refusal = await refused(world.events("DeleteRule", Name="nightly"))
        await world.events("RemoveTargets", Rule="nightly", Ids=["1"])
        await world.events("DeleteRule", Name="nightly", Force=True)
        await world.events("DeleteRule", Name="nightly")

        assert refusal.message == "Rule can't be deleted since it has targets."
        assert await world.events("ListRules") == {"Rules": []}
        assert await world.store.schedules.firings.count() == 0

    play(scenario)


def test_tags_are_added_changed_and_removed() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world, Tags=[{"Key": "team", "Value": "a"}])
        await world.events(
            "TagResource", ResourceARN=ARN, Tags=[{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}]
        )
        both = await world.events("ListTagsForResource", ResourceARN=ARN)
        await world.events("UntagResource", ResourceARN=ARN, TagKeys=["team", "unknown"])
        left = await world.events("ListTagsForResource", ResourceARN=ARN)

        assert both == {"Tags": [{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}]}
        assert left == {"Tags": [{"Key": "x", "Value": ""}]}

    play(scenario)


def test_what_cannot_be_tagged_is_refused() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        many = [{"Key": f"k{number}", "Value": ""} for number in range(51)]

        assert "50 tags" in (await refused(world.events("TagResource", ResourceARN=ARN, Tags=many))).message
        reserved = [{"Key": "AWS:x", "Value": ""}]
        assert "reserved" in (await refused(world.events("TagResource", ResourceARN=ARN, Tags=reserved))).message
        gone = await refused(world.events("ListTagsForResource", ResourceARN=ARN + "s"))
        assert gone.message == "Rule nightlys does not exist on EventBus default."
        elsewhere = await refused(world.events("ListTagsForResource", ResourceARN=ARN, caller=OTHERS))
        assert elsewhere.code == "ResourceNotFoundException"
        malformed = await refused(world.events("ListTagsForResource", ResourceARN="arn:aws:events:x"))
        assert malformed.message.endswith("is not valid. Reason: Provided Arn is not in correct format.")

    play(scenario)


def test_a_rule_that_was_put_elsewhere_is_known_here() -> None:
    async def scenario(world: World) -> None:
        async with world.another_node() as elsewhere:
            await a_rule(elsewhere)
            assert (await world.events("DescribeRule", Name="nightly"))["Arn"] == ARN
            await a_rule(world, Description="changed")
            assert (await elsewhere.events("DescribeRule", Name="nightly"))["Description"] == "changed"

    play(scenario)
