"""What becomes of every input member of every operation of EventBridge that is served."""

from __future__ import annotations

from eventrouter.api.registry import Applied, Entry, NotApplicable, Refused

_RULES = "tests/adapters/test_eventbridge_rules.py::"
_TARGETS = "tests/adapters/test_eventbridge_targets.py::"
_FIRING = "tests/planes/test_schedules.py::"

_BUS = Applied(_RULES + "test_there_is_no_event_bus_but_the_default_one")
_NAMED = Applied(_RULES + "test_a_rule_is_described_as_it_was_put")
_PUT = _NAMED
_LISTED = Applied(_RULES + "test_rules_are_listed_by_prefix_and_in_pages")
_PAUSED = Applied(_RULES + "test_a_rule_is_disabled_and_enabled")
_DELETED = Applied(_RULES + "test_a_rule_without_targets_is_deleted")
_TAGGED = Applied(_RULES + "test_tags_are_added_changed_and_removed")
_ROLE = NotApplicable("nothing is authorised here: echoed")
_RETRIES = Applied(_FIRING + "test_what_fails_to_the_end_of_its_retry_policy_becomes_a_dead_letter")
_FORCE = NotApplicable("no rule is managed by a service")
_TARGET_PUT = Applied(_TARGETS + "test_targets_are_listed_as_they_were_put")
_TARGET_REMOVED = Applied(_TARGETS + "test_targets_are_replaced_and_removed_by_id")
_TARGETS_LISTED = Applied(_TARGETS + "test_targets_and_rules_are_listed_in_pages")

_PAGES: dict[str, Entry] = {"NextToken": _LISTED, "Limit": _LISTED}


def _refused(why: str, *paths: str) -> dict[str, Entry]:
    return {f"Targets[].{path}": Refused(why) for path in paths}


MEMBERS: dict[str, dict[str, Entry]] = {
    "DeleteRule": {"Name": _DELETED, "EventBusName": _BUS, "Force": _FORCE},
    "DescribeRule": {"Name": _NAMED, "EventBusName": _BUS},
    "DisableRule": {"Name": _PAUSED, "EventBusName": _BUS},
    "EnableRule": {"Name": _PAUSED, "EventBusName": _BUS},
    "ListRuleNamesByTarget": {
        "TargetArn": _TARGETS_LISTED,
        "EventBusName": _BUS,
        "NextToken": _TARGETS_LISTED,
        "Limit": _TARGETS_LISTED,
    },
    "ListRules": {"NamePrefix": _LISTED, "EventBusName": _BUS, **_PAGES},
    "ListTagsForResource": {"ResourceARN": _TAGGED},
    "ListTargetsByRule": {
        "Rule": _TARGET_PUT,
        "EventBusName": _BUS,
        "NextToken": _TARGETS_LISTED,
        "Limit": _TARGETS_LISTED,
    },
    "PutRule": {
        "Name": _PUT,
        "ScheduleExpression": Applied(_RULES + "test_an_expression_that_is_no_schedule_is_refused"),
        "EventPattern": Refused("rules fire on schedules only, there is no bus to match events on"),
        "State": _PAUSED,
        "Description": _PUT,
        "RoleArn": _ROLE,
        "Tags[].Key": _TAGGED,
        "Tags[].Value": _TAGGED,
        "EventBusName": _BUS,
    },
    "PutTargets": {
        "Rule": _TARGET_PUT,
        "EventBusName": _BUS,
        "Targets[].Id": _TARGET_REMOVED,
        "Targets[].Arn": Applied(_TARGETS + "test_a_target_that_cannot_be_delivered_to_is_refused"),
        "Targets[].RoleArn": _ROLE,
        "Targets[].Input": Applied(_TARGETS + "test_an_input_is_handed_over_instead_of_the_event"),
        **_refused("events are handed over whole, or Input instead", "InputPath"),
        **_refused(
            "events are handed over whole, or Input instead",
            "InputTransformer.InputPathsMap",
            "InputTransformer.InputTemplate",
        ),
        **_refused(
            "events are delivered to functions and standard SQS queues",
            "KinesisParameters.PartitionKeyPath",
            "RunCommandParameters.RunCommandTargets[].Key",
            "RunCommandParameters.RunCommandTargets[].Values",
            "EcsParameters.TaskDefinitionArn",
            "EcsParameters.TaskCount",
            "EcsParameters.LaunchType",
            "EcsParameters.NetworkConfiguration.awsvpcConfiguration.Subnets",
            "EcsParameters.NetworkConfiguration.awsvpcConfiguration.SecurityGroups",
            "EcsParameters.NetworkConfiguration.awsvpcConfiguration.AssignPublicIp",
            "EcsParameters.PlatformVersion",
            "EcsParameters.Group",
            "EcsParameters.CapacityProviderStrategy[].capacityProvider",
            "EcsParameters.CapacityProviderStrategy[].weight",
            "EcsParameters.CapacityProviderStrategy[].base",
            "EcsParameters.EnableECSManagedTags",
            "EcsParameters.EnableExecuteCommand",
            "EcsParameters.PlacementConstraints[].type",
            "EcsParameters.PlacementConstraints[].expression",
            "EcsParameters.PlacementStrategy[].type",
            "EcsParameters.PlacementStrategy[].field",
            "EcsParameters.PropagateTags",
            "EcsParameters.ReferenceId",
            "EcsParameters.Tags[].Key",
            "EcsParameters.Tags[].Value",
            "BatchParameters.JobDefinition",
            "BatchParameters.JobName",
            "BatchParameters.ArrayProperties.Size",
            "BatchParameters.RetryStrategy.Attempts",
            "SqsParameters.MessageGroupId",
            "HttpParameters.PathParameterValues",
            "HttpParameters.HeaderParameters",
            "HttpParameters.QueryStringParameters",
            "RedshiftDataParameters.SecretManagerArn",
            "RedshiftDataParameters.Database",
            "RedshiftDataParameters.DbUser",
            "RedshiftDataParameters.Sql",
            "RedshiftDataParameters.StatementName",
            "RedshiftDataParameters.WithEvent",
            "RedshiftDataParameters.Sqls",
            "SageMakerPipelineParameters.PipelineParameterList[].Name",
            "SageMakerPipelineParameters.PipelineParameterList[].Value",
            "AppSyncParameters.GraphQLOperation",
        ),
        "Targets[].DeadLetterConfig.Arn": Applied(_FIRING + "test_a_function_that_does_not_exist_is_given_up_at_once"),
        "Targets[].RetryPolicy.MaximumRetryAttempts": _RETRIES,
        "Targets[].RetryPolicy.MaximumEventAgeInSeconds": _RETRIES,
    },
    "RemoveTargets": {"Rule": _TARGET_REMOVED, "EventBusName": _BUS, "Ids": _TARGET_REMOVED, "Force": _FORCE},
    "TagResource": {"ResourceARN": _TAGGED, "Tags[].Key": _TAGGED, "Tags[].Value": _TAGGED},
    "UntagResource": {"ResourceARN": _TAGGED, "TagKeys": _TAGGED},
}
