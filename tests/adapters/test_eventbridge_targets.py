"""Targets of scheduled rules through the operations of EventBridge. Source: lambda-semantics §6.3, §9.2."""

from __future__ import annotations

from typing import Any

import pytest

from eventrouter.rules.schedule_event import handed_over
from tests.adapters.world import World, play, refused

pytestmark = pytest.mark.integration

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:jobs"
DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
DONE: dict[str, Any] = {"FailedEntryCount": 0, "FailedEntries": []}


async def a_rule(world: World, name: str = "nightly") -> None:
    await world.events("PutRule", Name=name, ScheduleExpression="rate(5 minutes)")


def put(world: World, *targets: dict[str, Any], rule: str = "nightly") -> Any:
    return world.events("PutTargets", Rule=rule, Targets=list(targets))


async def listed(world: World) -> list[dict[str, Any]]:
    targets: list[dict[str, Any]] = (await world.events("ListTargetsByRule", Rule="nightly"))["Targets"]
    return targets


def test_targets_are_listed_as_they_were_put() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        plain = {"Id": "a", "Arn": f"{FUNCTION}:live"}
        full = {
            "Id": "b",
            "Arn": QUEUE,
            "RoleArn": "arn:aws:iam::000000000000:role/r",
            "Input": '{"a": 1}',
            "DeadLetterConfig": {"Arn": DEAD},
            "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
        }

        assert await put(world, full, plain) == DONE
        assert await listed(world) == [plain, full]

    play(scenario)


def test_targets_are_replaced_and_removed_by_id() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        await put(world, {"Id": "a", "Arn": FUNCTION}, {"Id": "b", "Arn": FUNCTION})
        await put(world, {"Id": "a", "Arn": QUEUE})
        assert await listed(world) == [{"Id": "a", "Arn": QUEUE}, {"Id": "b", "Arn": FUNCTION}]
        assert await world.events("RemoveTargets", Rule="nightly", Ids=["b", "unknown"]) == DONE
        assert await listed(world) == [{"Id": "a", "Arn": QUEUE}]

    play(scenario)


def test_changing_targets_does_not_make_a_rule_count_anew() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        [before] = world.store.schedules.catalogue.all()
        await world.clock.sleep(60)
        await put(world, {"Id": "a", "Arn": FUNCTION})
        [after] = world.store.schedules.catalogue.all()

        assert after.timer == before.timer

    play(scenario)


def test_a_rule_has_five_targets_at_most() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        await put(world, *({"Id": str(number), "Arn": FUNCTION} for number in range(5)))
        refusal = await refused(put(world, {"Id": "5", "Arn": FUNCTION}))
        await put(world, {"Id": "4", "Arn": QUEUE})

        assert refusal.code == "LimitExceededException"
        assert refusal.message == "The requested resource exceeds the maximum number allowed."

    play(scenario)


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("f", "Parameter f is not valid. Reason: Provided Arn is not in correct format."),
        ("arn:aws:lambda:us-east-1::function:f", "Provided Arn is not in correct format."),
        ("arn:aws:lambda:us-east-1:000000000000:layer:f", "Provided Arn is not in correct format."),
        ("arn:aws:lambda:eu-west-1:000000000000:function:f", "Provided Arn is not in correct region."),
        ("arn:aws:sns:us-east-1:000000000000:t", "events are delivered to functions and SQS queues."),
        ("arn:aws:sqs:us-east-1:000000000000:q.fifo", "events are delivered to standard queues."),
    ],
)
def test_a_target_that_cannot_be_delivered_to_is_refused(arn: str, message: str) -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        refusal = await refused(put(world, {"Id": "a", "Arn": arn}))
        assert refusal.code == "ValidationException"
        assert refusal.message.endswith(message)
        dead = await refused(put(world, {"Id": "a", "Arn": FUNCTION, "DeadLetterConfig": {"Arn": arn}}))
        assert dead.code == "ValidationException"
        assert await listed(world) == []

    play(scenario)


def test_dead_letters_do_not_go_to_functions() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        refusal = await refused(put(world, {"Id": "a", "Arn": QUEUE, "DeadLetterConfig": {"Arn": FUNCTION}}))
        assert refusal.message.endswith("dead letters go to SQS queues.")

    play(scenario)


def test_an_input_is_handed_over_instead_of_the_event() -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        await put(world, {"Id": "a", "Arn": FUNCTION, "Input": '"text"'})
        [rule] = world.store.schedules.catalogue.all()
        assert handed_over(rule.targets[0], b"{}") == b'"text"'
        for text in ("{", "NaN", "[" * 8_192):
            refusal = await refused(put(world, {"Id": "b", "Arn": FUNCTION, "Input": text}))
            assert refusal.message == "JSON syntax error in input for target b"

    play(scenario)


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"InputPath": "$.detail"}, "Targets[].InputPath"),
        ({"InputTransformer": {"InputTemplate": "<a>"}}, "Targets[].InputTransformer.InputTemplate"),
        ({"SqsParameters": {"MessageGroupId": "g"}}, "Targets[].SqsParameters.MessageGroupId"),
        ({"EcsParameters": {"TaskDefinitionArn": "t"}}, "Targets[].EcsParameters.TaskDefinitionArn"),
    ],
)
def test_what_is_not_applied_is_refused_by_name(members: dict[str, Any], path: str) -> None:
    async def scenario(world: World) -> None:
        await a_rule(world)
        refusal = await refused(put(world, {"Id": "a", "Arn": QUEUE, **members}))
        assert refusal.message.startswith(f"{path} of PutTargets is not supported by eventrouter: ")
        assert await listed(world) == []

    play(scenario)


def test_targets_of_a_rule_that_does_not_exist_are_not_found() -> None:
    async def scenario(world: World) -> None:
        for attempt in (
            put(world, {"Id": "a", "Arn": FUNCTION}),
            world.events("RemoveTargets", Rule="nightly", Ids=["a"]),
            world.events("ListTargetsByRule", Rule="nightly"),
        ):
            assert (await refused(attempt)).message == "Rule nightly does not exist on EventBus default."

    play(scenario)


def test_targets_and_rules_are_listed_in_pages() -> None:
    async def scenario(world: World) -> None:
        for name in ("c", "a", "b"):
            await a_rule(world, name)
            await put(world, {"Id": "x", "Arn": FUNCTION}, {"Id": "y", "Arn": QUEUE}, rule=name)
        await world.events("RemoveTargets", Rule="b", Ids=["x"])

        first = await world.events("ListTargetsByRule", Rule="a", Limit=1)
        rest = await world.events("ListTargetsByRule", Rule="a", Limit=1, NextToken=first["NextToken"])
        assert [target["Id"] for page in (first, rest) for target in page["Targets"]] == ["x", "y"]
        assert await world.events("ListRuleNamesByTarget", TargetArn=FUNCTION) == {"RuleNames": ["a", "c"]}
        names = await world.events("ListRuleNamesByTarget", TargetArn=QUEUE, Limit=2)
        more = await world.events("ListRuleNamesByTarget", TargetArn=QUEUE, Limit=2, NextToken=names["NextToken"])
        assert names["RuleNames"] + more["RuleNames"] == ["a", "b", "c"]
        assert "NextToken" not in more

    play(scenario)
