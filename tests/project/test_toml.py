"""Projects declared in `eventrouter.toml`."""

import datetime
import json
import sys

import pytest

from eventrouter.project.model import ProjectError
from eventrouter.project.toml import read_toml

pytestmark = pytest.mark.unit

EVERYTHING = """\
region = "eu-west-1"
[redis]
url = "redis://localhost"

[functions.orders]
handler = "app.orders.handler"
runtime = "python3.12"
code = "src"
description = "Takes orders."
timeout = "30s"
memory = "256MB"
concurrency = 20
role = "arn:aws:iam::000000000000:role/orders"
environment = { STAGE = "dev" }
tags = { team = "a" }
logs = { format = "json", level = "DEBUG", system_level = "WARN", group = "shop" }

[functions.orders.async]
retries = 1
max_age = "6h"
dlq = "orders-dlq"
on_success = "audit"
on_failure = "orders-dlq"

[functions.audit]
handler = "app.audit"

[queues.orders-dlq]
[queues."orders.fifo"]
visibility = "2m"
delay = "1s"
wait = "20s"
retention = "4d"
max_message = "256KB"
dlq = "dead.fifo"
max_receives = 5
content_based_deduplication = true
deduplication_scope = "message-group"
throughput_limit = "message-group"
tags = { team = "a" }
[queues."dead.fifo"]

[streams.clicks]
shards = 4
retention = "7d"
tags = { team = "b" }
[streams.pulse]
mode = "on-demand"

[[mappings]]
source = "orders.fifo"
function = "orders"
enabled = false
batch_size = 10
report_item_failures = true
max_concurrency = 5
event_count = true
filter = '{"body":{"type":["created"]}}'
tags = { team = "a" }

[[mappings]]
source = "clicks"
function = "audit"
start = 2026-01-31T12:00:00Z
batch_size = 100
window = "2s"
retries = 5
max_age = "1h"
bisect = true
parallel = 4
tumbling_window = "1m"
on_failure = "orders-dlq"
filter = [{ data = { n = [{ numeric = [">", 1] }] } }, '{"partitionKey":["a"]}']

[[mappings]]
source = "arn:aws:sqs:us-east-1:111111111111:elsewhere"
function = "arn:aws:lambda:us-east-1:111111111111:function:theirs"
pollers = { minimum = 2, maximum = 4 }

[schedules.nightly]
expression = "cron(0 3 * * ? *)"
function = "audit"
description = "Every night."
input = { full = true }
retries = 3
max_age = "1h"
dlq = "orders-dlq"
[schedules.pulse]
expression = "rate(5 minutes)"
queue = "orders-dlq"
enabled = false

[[routes]]
route = "GET /orders/{id}"
function = "orders"
[[routes]]
route = "$default"
function = "audit"
payload_format = "1.0"
api = "old"
"""
SQS = "arn:aws:sqs:eu-west-1:000000000000:"
FUNCTION = "arn:aws:lambda:eu-west-1:000000000000:function:"
STREAM = "arn:aws:kinesis:eu-west-1:000000000000:stream/"


@pytest.fixture
def read(tmp_path):
    """Read a project file of this text, in a folder with a folder `src`."""
    (tmp_path / "src").mkdir()

    def read_text(text, **options):
        (tmp_path / "eventrouter.toml").write_text(text)
        return read_toml(tmp_path / "eventrouter.toml", **options)

    return read_text


@pytest.fixture
def everything(read):
    return read(EVERYTHING)


def line(text):
    return EVERYTHING.splitlines().index(text) + 1


def test_a_function_has_the_members_that_its_keys_stand_for(everything, tmp_path):
    orders, _ = everything.functions

    assert orders.members == {
        "FunctionName": "orders",
        "Role": "arn:aws:iam::000000000000:role/orders",
        "Runtime": "python3.12",
        "Handler": "app.orders.handler",
        "Description": "Takes orders.",
        "Timeout": 30,
        "MemorySize": 256,
        "Environment": {"Variables": {"STAGE": "dev"}},
        "Tags": {"team": "a"},
        "LoggingConfig": {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "DEBUG",
            "SystemLogLevel": "WARN",
            "LogGroup": "shop",
        },
        "DeadLetterConfig": {"TargetArn": f"{SQS}orders-dlq"},
    }
    assert orders.reserved_concurrency == 20
    assert orders.code == tmp_path / "src"
    assert orders.place.line == line("[functions.orders]")


def test_the_async_table_becomes_the_event_invoke_config(everything):
    orders, audit = everything.functions

    assert orders.event_invoke == {
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 21_600,
        "DestinationConfig": {
            "OnSuccess": {"Destination": f"{FUNCTION}audit"},
            "OnFailure": {"Destination": f"{SQS}orders-dlq"},
        },
    }
    assert audit.event_invoke is None


def test_what_a_function_does_not_say_is_left_to_aws_s_defaults(everything, tmp_path):
    _, audit = everything.functions

    assert audit.members == {
        "FunctionName": "audit",
        "Runtime": f"python3.{sys.version_info[1]}",
        "Handler": "app.audit",
    }
    assert audit.reserved_concurrency is None
    assert audit.code == tmp_path


def test_a_queue_has_the_attributes_that_its_keys_stand_for(everything):
    dlq, fifo, dead = everything.queues

    assert dlq.attributes == {}
    assert dead.attributes == {"FifoQueue": "true"}
    redrive = json.loads(fifo.attributes["RedrivePolicy"])
    assert redrive == {"deadLetterTargetArn": f"{SQS}dead.fifo", "maxReceiveCount": 5}
    assert {name: value for name, value in fifo.attributes.items() if name != "RedrivePolicy"} == {
        "VisibilityTimeout": "120",
        "DelaySeconds": "1",
        "ReceiveMessageWaitTimeSeconds": "20",
        "MessageRetentionPeriod": "345600",
        "MaximumMessageSize": "262144",
        "FifoQueue": "true",
        "ContentBasedDeduplication": "true",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    }
    assert fifo.tags == {"team": "a"}


def test_a_stream_has_shards_or_is_on_demand(everything):
    clicks, pulse = everything.streams

    assert clicks.members == {"ShardCount": 4, "Tags": {"team": "b"}}
    assert clicks.retention_hours == 168
    assert pulse.members == {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    assert pulse.retention_hours == 24


def test_mappings_have_the_members_that_their_keys_stand_for(everything):
    queue, stream, theirs = everything.mappings

    assert queue.members == {
        "EventSourceArn": f"{SQS}orders.fifo",
        "FunctionName": "orders",
        "Enabled": False,
        "BatchSize": 10,
        "Tags": {"team": "a"},
        "FilterCriteria": {"Filters": [{"Pattern": '{"body":{"type":["created"]}}'}]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 5},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }
    assert stream.members == {
        "EventSourceArn": f"{STREAM}clicks",
        "FunctionName": "audit",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 2,
        "MaximumRetryAttempts": 5,
        "MaximumRecordAgeInSeconds": 3600,
        "BisectBatchOnFunctionError": True,
        "ParallelizationFactor": 4,
        "TumblingWindowInSeconds": 60,
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC),
        "FilterCriteria": {
            "Filters": [{"Pattern": '{"data":{"n":[{"numeric":[">",1]}]}}'}, {"Pattern": '{"partitionKey":["a"]}'}]
        },
        "DestinationConfig": {"OnFailure": {"Destination": f"{SQS}orders-dlq"}},
    }
    assert theirs.members == {
        "EventSourceArn": "arn:aws:sqs:us-east-1:111111111111:elsewhere",
        "FunctionName": "arn:aws:lambda:us-east-1:111111111111:function:theirs",
        "ProvisionedPollerConfig": {"MinimumPollers": 2, "MaximumPollers": 4},
    }


@pytest.mark.parametrize(
    ("start", "position"),
    [("", "TRIM_HORIZON"), ('start = "latest"', "LATEST"), ('start = "trim-horizon"', "TRIM_HORIZON")],
)
def test_a_stream_s_mapping_begins_where_it_says_or_at_the_oldest_record(read, start, position):
    project = read(
        f'[functions.f]\nhandler = "a.b"\n[streams.s]\n[[mappings]]\nsource = "s"\nfunction = "f"\n{start}\n'
    )

    assert project.mappings[0].members["StartingPosition"] == position


def test_schedules_have_one_target(everything):
    nightly, pulse = everything.schedules

    assert nightly.members == {
        "ScheduleExpression": "cron(0 3 * * ? *)",
        "State": "ENABLED",
        "Description": "Every night.",
    }
    assert nightly.targets == (
        {
            "Id": "target",
            "Arn": f"{FUNCTION}audit",
            "Input": '{"full":true}',
            "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 3600},
            "DeadLetterConfig": {"Arn": f"{SQS}orders-dlq"},
        },
    )
    assert pulse.members == {"ScheduleExpression": "rate(5 minutes)", "State": "DISABLED"}
    assert pulse.targets == ({"Id": "target", "Arn": f"{SQS}orders-dlq"},)


def test_routes_name_their_function_and_their_api(everything):
    order, default = everything.routes

    assert (order.route_key, order.function, order.payload_format, order.api) == (
        "GET /orders/{id}",
        "orders",
        "2.0",
        "default",
    )
    assert (default.route_key, default.function, default.payload_format, default.api) == (
        "$default",
        "audit",
        "1.0",
        "old",
    )


def test_a_project_is_called_as_its_folder_and_stands_in_the_file_s_region(everything, tmp_path):
    assert everything.name == tmp_path.name
    assert everything.region == "eu-west-1"
    assert everything.files == (tmp_path / "eventrouter.toml",)


def test_the_region_and_account_of_the_caller_win(read):
    project = read('region = "eu-west-1"\n[queues.q]\n', account="123456789012", region="us-west-2")

    assert (project.account, project.region) == ("123456789012", "us-west-2")


def test_every_resource_stands_where_it_was_declared(everything):
    assert [mapping.place.line for mapping in everything.mappings] == [
        number for number, text in enumerate(EVERYTHING.splitlines(), 1) if text == "[[mappings]]"
    ]
    assert everything.schedules[1].place.line == line("[schedules.pulse]")
    assert everything.streams[0].place.line == line("[streams.clicks]")


F = '[functions.f]\nhandler = "a.b"\n'


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("port = 1\nx = \n", ":2", "is not valid TOML"),
        ("[function.f]", ":1", "function: there is no such key; the nearest is functions"),
        (f"{F}\n[queue.q]\nx = 1", ":4", "queue: there is no such key; the nearest is queues"),
        (f"{F}timout = '3s'", ":3", "timout: there is no such key; the nearest is timeout"),
        (f"{F}timeout = 30", ":3", r"timeout = 30: must be a duration with its unit, such as \"30s\""),
        (f"{F}memory = 256", ":3", "memory = 256: must be a size with its unit"),
        (f"{F}concurrency = 'x'", ":3", "concurrency = 'x': input should be a valid integer"),
        (f"{F}concurrency = true", ":3", "concurrency = True: input should be a valid integer"),
        (f"{F}environment.A = 1", ":3", "A = 1: input should be a valid string"),
        (f"{F}logs.format = 'xml'", ":3", "format = 'xml': input should be 'text' or 'json'"),
        ("[functions.f]\ncode = '.'", ":1", "handler is missing from functions.f"),
        (f"{F}code = 'nowhere'", ":3", 'code = "nowhere": .*nowhere does not exist'),
        (f"{F}tenant_key = '$.customer'", ":3", "tenant_key: environments are not isolated per tenant"),
        (f"{F}command = ['./bootstrap']", ":3", "command: functions are Python packages"),
        (f"{F}image = 'x'", ":3", "image: .* container images are not served"),
        (f"{F}url = 'http://x'", ":3", "url: .* functions behind a URL are not served"),
        (f"{F}layers = []", ":3", "layers: layers are not served"),
        (f"{F}[functions.f.async.extended]\nschedule = ['1m']", ":3", "extended: it is beyond AWS"),
        (f"{F}async.schedule = ['1m']", ":3", "schedule: it is beyond AWS"),
        (f"{F}async.jitter = 'full'", ":3", "jitter: it is beyond AWS"),
        (f"{F}async.never_retry = []", ":3", "never_retry: it is beyond AWS"),
        (
            f"{F}[functions.f.async]\ndlq = 'q'",
            ":4",
            'dlq = "q": not among the queues of this file; name others by ARN',
        ),
        (f"{F}[queues.dlq]\n[functions.f.async]\ndlq = 'qld'", ":5", "the nearest is dlq"),
        ("mappings = 3", ":1", "mappings = 3: input should be a valid list"),
        (f"{F}[[mappings]]\nfunction = 'f'", ":3", "source is missing from mappings"),
        (f"{F}[[mappings]]\nfunction = 'f'\nsource = 'kafka://k/orders'", ":5", "kafka sources are not served"),
        (f"{F}[queues.q]\n[[mappings]]\nfunction = 'g'\nsource = 'q'", ":5", 'function = "g": not among the functions'),
        (f"{F}[queues.q]\n[streams.q]\n[[mappings]]\nfunction = 'f'\nsource = 'q'", ":7", "in queues and in streams"),
        (f"{F}[streams.s]\n[[mappings]]\nfunction = 'f'\nsource = 's'\nstart = 'now'", ":7", "start = 'now': must be"),
        (
            f"{F}[[mappings]]\nfunction = 'f'\nsource = 'q'\nstart = 2026-01-31T12:00:00",
            ":6",
            "start = 2026-01-31T12:00:00: must be .* a time with its offset",
        ),
        (f"{F}[[mappings]]\nfunction = 'f'\nsource = 'q'\nfilter = 3", ":6", "filter = 3: must be an event pattern"),
        (f"{F}[[mappings]]\nfunction = 'f'\nsource = 'q'\nfilter.at = 2026-01-31", ":6", "JSON has no dates"),
        (f"{F}[queues.q]\n" + "[[mappings]]\nfunction = 'f'\nsource = 'q'\n" * 2, ":7", "stands twice in mappings"),
        ("[queues.q]\nmax_receives = 3", ":2", "max_receives: dlq is missing"),
        ("[queues.q]\ndlq = 'q'", ":2", "dlq: max_receives is missing"),
        ("[streams.s]\nretention = '90m'", ":2", "whole hours"),
        ("[streams.s]\nmode = 'on-demand'\nshards = 2", ":3", "has no declared shards"),
        ("[schedules.s]\nexpression = 'rate(1 day)'", ":2", "give it either function or queue"),
        (f"{F}[[routes]]\nroute = 'GET /'\nfunction = 'g'", ":5", 'function = "g": not among the functions'),
        (f"{F}" + "[[routes]]\nroute = 'GET /'\nfunction = 'f'\n" * 2, ":6", "default GET /: stands twice in routes"),
        (f"{F}memory = 1\ntimeout = 1", ":3", "memory"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_line(read, text, place, told):
    with pytest.raises(ProjectError, match=rf"eventrouter\.toml{place}: .*{told}"):
        read(text)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ProjectError, match="cannot be read"):
        read_toml(tmp_path / "eventrouter.toml")


def test_a_file_that_is_nested_too_deeply_is_refused(read):
    with pytest.raises(ProjectError, match=r"eventrouter\.toml: is nested too deeply"):
        read("a = " + "[" * 10_000 + "]" * 10_000)


def test_a_file_that_is_too_large_is_refused(read):
    with pytest.raises(ProjectError, match=r"eventrouter\.toml: is too large"):
        read("#" * 1_048_577)
