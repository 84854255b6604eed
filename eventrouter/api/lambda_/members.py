"""What becomes of every input member of every Lambda operation that is served.

See `api.registry` for the three kinds. The guard (`lambda_.guard`) refuses exactly what stands here as Refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from eventrouter.api.lambda_.mapping_members import MAPPING_MEMBERS
from eventrouter.api.registry import Applied, Entry, Members, NotApplicable, Refused

_API = "tests/api/"
_E2E = "tests/e2e/"


def _api(test: str) -> Applied:
    return Applied(f"{_API}{test}")


def _e2e(test: str) -> Applied:
    return Applied(f"{_E2E}{test}")


_NAMES = _e2e("test_invoke.py::test_row_17_the_invoked_arn_is_exactly_what_the_caller_named")
_NAME = _api("test_names_at_the_door.py::test_a_function_is_found_by_name_partial_arn_and_full_arn")
_QUALIFIER = _api("test_names_at_the_door.py::test_the_qualifier_latest_is_shown_in_the_arn")
_PAGES = _api("test_functions.py::test_functions_are_listed_in_pages")

_NO_VERSIONS = Refused("versions and aliases are not served yet")
_NO_IMAGES = Refused("functions are zip packages")
_NO_S3 = Refused("packages come as ZipFile, or from a local folder through the hot-reload bucket")
_NO_LAYERS = Refused("layers are not served yet")
_NO_MOUNTS = Refused("file systems are not mounted")
_NO_CAPACITY = Refused("there are no capacity providers here")
_NO_DURABLE = Refused("durable functions are not served")
_NO_CUSTOM_RUNTIMES = Refused("customer-managed runtimes are not served")
_NO_ACCELERATORS = Refused("there are no accelerators here")
_NO_SIGNING = Refused("code signing is not checked here")

_ROLE = NotApplicable("functions run with the rights of the node; there is no IAM here")
_VPC = NotApplicable("functions use the node's own network")
_KMS = NotApplicable("environment variables are not encrypted with keys of yours")
_TRACING = NotApplicable("nothing is sent to X-Ray; the trace header is passed on all the same")
_ARCHITECTURE = NotApplicable("functions run on the node's own processor")
_STORAGE = NotApplicable("the size of /tmp is not limited")
_SNAP_START = NotApplicable("it concerns published versions only; environments are forked from a warm template anyway")

_CONFIGURATION: Final[Mapping[str, Entry]] = {
    "Role": _ROLE,
    "Handler": _e2e("test_configuration.py::test_the_handler_is_the_function_that_is_called"),
    "Description": _api("test_functions.py::test_an_answer_has_exactly_the_members_that_aws_shows"),
    "Timeout": _e2e("test_configuration.py::test_the_timeout_bounds_how_long_a_run_may_take"),
    "MemorySize": _e2e("test_configuration.py::test_the_memory_size_bounds_what_a_run_may_hold"),
    "VpcConfig.SubnetIds": _VPC,
    "VpcConfig.SecurityGroupIds": _VPC,
    "VpcConfig.Ipv6AllowedForDualStack": _VPC,
    "Environment.Variables": _e2e("test_environments.py::test_a_configuration_change_reaches_the_next_invocation"),
    "Runtime": _e2e("test_configuration.py::test_the_runtime_is_what_a_run_finds_itself_on"),
    "DeadLetterConfig.TargetArn": _e2e(
        "test_function_errors.py::test_row_12_a_failing_event_ends_in_its_record_and_its_dead_letter_exactly"
    ),
    "KMSKeyArn": _KMS,
    "TracingConfig.Mode": _TRACING,
    "Layers": _NO_LAYERS,
    "FileSystemConfigs[].Arn": _NO_MOUNTS,
    "FileSystemConfigs[].LocalMountPath": _NO_MOUNTS,
    "FileSystemConfigs[].S3FilesConfig.DirectS3Read": _NO_MOUNTS,
    "ImageConfig.EntryPoint": _NO_IMAGES,
    "ImageConfig.Command": _NO_IMAGES,
    "ImageConfig.WorkingDirectory": _NO_IMAGES,
    "EphemeralStorage.Size": _STORAGE,
    "SnapStart.ApplyOn": _SNAP_START,
    "LoggingConfig.LogFormat": _e2e("test_logs.py::test_the_json_format_has_platform_records_and_json_lines"),
    "LoggingConfig.ApplicationLogLevel": _e2e(
        "test_configuration.py::test_the_application_log_level_leaves_out_what_is_below_it"
    ),
    "LoggingConfig.SystemLogLevel": _e2e(
        "test_configuration.py::test_the_system_log_level_leaves_out_the_platform_s_records_below_it"
    ),
    "LoggingConfig.LogGroup": _e2e(
        "test_configuration.py::test_the_log_group_takes_the_lines_of_every_function_that_names_it"
    ),
    "CapacityProviderConfig.LambdaManagedInstancesCapacityProviderConfig.CapacityProviderArn": _NO_CAPACITY,
    "CapacityProviderConfig.LambdaManagedInstancesCapacityProviderConfig.PerExecutionEnvironmentMaxConcurrency": (
        _NO_CAPACITY
    ),
    "CapacityProviderConfig.LambdaManagedInstancesCapacityProviderConfig.ExecutionEnvironmentMemoryGiBPerVCpu": (
        _NO_CAPACITY
    ),
    "DurableConfig.KMSKeyArn": _NO_DURABLE,
    "DurableConfig.RetentionPeriodInDays": _NO_DURABLE,
    "DurableConfig.ExecutionTimeout": _NO_DURABLE,
    "RuntimeConfig.RuntimeArn": _NO_CUSTOM_RUNTIMES,
    "RuntimeConfig.RuntimeAlias": _NO_CUSTOM_RUNTIMES,
    "AcceleratorConfig.AcceleratorMemorySize": _NO_ACCELERATORS,
}
"""Members that CreateFunction and UpdateFunctionConfiguration share."""


def _code(prefix: str, image: Refused) -> dict[str, Entry]:
    hot_reload = _e2e("test_environments.py::test_hot_reload_runs_what_the_folder_holds_now")
    return {
        f"{prefix}ZipFile": _e2e("test_functions.py::test_updated_code_runs_once_the_waiter_is_satisfied"),
        f"{prefix}S3Bucket": hot_reload,
        f"{prefix}S3Key": hot_reload,
        f"{prefix}S3ObjectVersion": _NO_S3,
        f"{prefix}S3ObjectStorageMode": _NO_S3,
        f"{prefix}ImageUri": image,
        f"{prefix}SourceKMSKeyArn": NotApplicable("packages are not encrypted with keys of yours"),
    }


_EVENT_INVOKE: Final[Mapping[str, Entry]] = {
    "FunctionName": _NAME,
    "Qualifier": _api("test_event_invoke.py::test_a_configuration_is_kept_per_qualifier_and_shown_with_it"),
    "MaximumRetryAttempts": _e2e("test_events.py::test_maximum_retry_attempts_bounds_the_attempts"),
    "MaximumEventAgeInSeconds": _e2e(
        "test_events.py::test_row_8_an_event_that_would_be_too_old_at_its_retry_is_given_up_at_once"
    ),
    "DestinationConfig.OnSuccess.Destination": _e2e(
        "test_events.py::test_row_11_a_success_record_holds_request_and_response_and_no_function_error"
    ),
    "DestinationConfig.OnFailure.Destination": _e2e(
        "test_function_errors.py::test_row_12_a_failing_event_ends_in_its_record_and_its_dead_letter_exactly"
    ),
}
_ONE_QUALIFIER: Final[Mapping[str, Entry]] = {
    "FunctionName": _NAME,
    "Qualifier": _api("test_event_invoke.py::test_a_configuration_is_kept_per_qualifier_and_shown_with_it"),
}
_TAGS = _api("test_tags.py::test_tags_are_added_listed_and_removed")

MEMBERS: Final[Members] = {
    "CreateFunction": {
        "FunctionName": _NAME,
        **_CONFIGURATION,
        **_code("Code.", _NO_IMAGES),
        "Publish": _NO_VERSIONS,
        "PublishTo": _NO_VERSIONS,
        "PackageType": _api("test_functions.py::test_images_are_refused"),
        "Tags": _TAGS,
        "CodeSigningConfigArn": _NO_SIGNING,
        "Architectures": _ARCHITECTURE,
        "TenancyConfig.TenantIsolationMode": Refused("environments are not isolated per tenant"),
    },
    "GetFunction": {"FunctionName": _NAME, "Qualifier": _QUALIFIER},
    "GetFunctionConfiguration": {"FunctionName": _NAME, "Qualifier": _QUALIFIER},
    "ListFunctions": {
        "MasterRegion": Refused("there is no Lambda@Edge here"),
        "FunctionVersion": _api("test_functions.py::test_all_versions_are_listed_with_qualified_arns"),
        "Marker": _PAGES,
        "MaxItems": _PAGES,
    },
    "UpdateFunctionCode": {
        "FunctionName": _NAME,
        **_code(
            "",
            Refused(
                "functions are zip packages",
                "Please don't provide ImageUri when updating a function with packageType Zip.",
            ),
        ),
        "Architectures": _ARCHITECTURE,
        "Publish": _NO_VERSIONS,
        "PublishTo": _NO_VERSIONS,
        "DryRun": _api("test_functions.py::test_a_dry_run_of_new_code_changes_nothing"),
        "RevisionId": _api("test_functions.py::test_an_update_of_another_revision_is_refused"),
    },
    "UpdateFunctionConfiguration": {
        "FunctionName": _NAME,
        **_CONFIGURATION,
        "RevisionId": _api("test_functions.py::test_an_update_of_another_revision_is_refused"),
    },
    "DeleteFunction": {
        "FunctionName": _NAME,
        "Qualifier": _api("test_functions.py::test_deleting_a_qualifier_answers_as_aws_does"),
    },
    "PutFunctionConcurrency": {
        "FunctionName": _NAME,
        "ReservedConcurrentExecutions": _e2e(
            "test_concurrency.py::test_a_second_caller_of_a_single_reserved_execution_is_throttled"
        ),
    },
    "GetFunctionConcurrency": {"FunctionName": _NAME},
    "DeleteFunctionConcurrency": {"FunctionName": _NAME},
    "PutFunctionEventInvokeConfig": _EVENT_INVOKE,
    "UpdateFunctionEventInvokeConfig": _EVENT_INVOKE,
    "GetFunctionEventInvokeConfig": _ONE_QUALIFIER,
    "DeleteFunctionEventInvokeConfig": _ONE_QUALIFIER,
    "ListFunctionEventInvokeConfigs": {
        "FunctionName": _NAME,
        "Marker": _api("test_event_invoke.py::test_configurations_are_listed"),
        "MaxItems": _api("test_event_invoke.py::test_configurations_are_listed"),
    },
    "GetAccountSettings": {},
    "TagResource": {"Resource": _TAGS, "Tags": _TAGS},
    "UntagResource": {"Resource": _TAGS, "TagKeys": _TAGS},
    "ListTags": {"Resource": _TAGS},
    "GetFunctionCodeSigningConfig": {"FunctionName": _NAME},
    **MAPPING_MEMBERS,
    "Invoke": {
        "FunctionName": _NAMES,
        "Qualifier": _NAMES,
        "InvocationType": _e2e(
            "test_configuration.py::test_each_invocation_type_runs_the_function_now_later_or_not_at_all"
        ),
        "LogType": _e2e("test_logs.py::test_the_tail_is_the_last_4096_bytes"),
        "ClientContext": _e2e("test_invoke.py::test_row_18_the_memory_limit_is_a_string_and_the_context_is_whole"),
        "DurableExecutionName": _NO_DURABLE,
        "Payload": _e2e("test_invoke.py::test_any_json_value_goes_in_and_comes_back"),
        "TenantId": Refused("environments are not isolated per tenant"),
    },
    "InvokeAsync": {
        "FunctionName": _NAMES,
        "InvokeArgs": _e2e("test_invoke.py::test_invoke_async_answers_202"),
    },
}
