"""The App: what its decorators declare, what they refuse, and that decorated functions stay what they are."""

import json
import subprocess
import sys

import pytest

from eventrouter import App
from eventrouter.project.check import check
from eventrouter.project.model import ProjectError
from tests.project.apps import declared

pytestmark = pytest.mark.unit

QUEUE = "arn:aws:sqs:us-east-1:000000000000"


def here(app):
    """Return what an app of this module declares."""
    return app.project(sys.modules[__name__], ".")


def handler(event, context):
    return event["id"] + 1


def another(event, context):
    return None


def test_a_decorated_function_is_the_function_itself():
    app = App()

    assert app.function(timeout=10)(handler) is handler
    assert app.queue("orders")(handler) is handler
    assert app.schedule("rate(1 day)")(handler) is handler
    assert app.route("GET /")(handler) is handler
    assert handler({"id": 1}, None) == 2


def test_a_function_has_the_settings_of_its_decorator():
    app = App()
    app.function(
        "orders",
        timeout="2m",
        memory=512,
        environment={"STAGE": "dev"},
        description="takes orders",
        concurrency=4,
        log_format="JSON",
        tags={"team": "shop"},
    )(handler)

    (function,) = here(app).functions

    assert function.name == "orders"
    assert function.members["Timeout"] == 120
    assert function.members["MemorySize"] == 512
    assert function.members["Environment"] == {"Variables": {"STAGE": "dev"}}
    assert function.members["Description"] == "takes orders"
    assert function.members["LoggingConfig"] == {"LogFormat": "JSON"}
    assert function.members["Tags"] == {"team": "shop"}
    assert function.members["Handler"] == f"{__name__}.handler"
    assert function.reserved_concurrency == 4
    assert function.event_invoke is None


def test_asynchronous_settings_name_queues_and_functions():
    app = App()
    failed = app.queue("failed")
    app.function("audit")(another)
    app.function(retries=0, max_age="1h", on_success=another, on_failure="failed", dlq=failed)(handler)

    function = here(app).functions[-1]

    assert function.event_invoke == {
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": 3_600,
        "DestinationConfig": {
            "OnSuccess": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:audit"},
            "OnFailure": {"Destination": f"{QUEUE}:failed"},
        },
    }
    assert function.members["DeadLetterConfig"] == {"TargetArn": f"{QUEUE}:failed"}


def test_a_queue_feeds_the_function_that_it_decorates():
    app = App()
    failed = app.queue("orders-dlq")
    orders = app.queue(
        "orders",
        visibility="2m",
        delay=5,
        wait=20,
        retention="1d",
        max_message=1_024,
        dlq=failed,
        max_receives=5,
        tags={"team": "shop"},
        batch_size=100,
        window=3,
        max_concurrency=2,
        report_item_failures=True,
        filter={"body": {"kind": ["new"]}},
        enabled=False,
    )
    orders(handler)

    project = here(app)

    assert [queue.name for queue in project.queues] == ["orders-dlq", "orders"]
    queue = project.queues[1]
    assert json.loads(queue.attributes["RedrivePolicy"]) == {
        "deadLetterTargetArn": f"{QUEUE}:orders-dlq",
        "maxReceiveCount": 5,
    }
    assert {name: queue.attributes[name] for name in ("VisibilityTimeout", "DelaySeconds", "MaximumMessageSize")} == {
        "VisibilityTimeout": "120",
        "DelaySeconds": "5",
        "MaximumMessageSize": "1024",
    }
    assert queue.attributes["ReceiveMessageWaitTimeSeconds"] == "20"
    assert queue.attributes["MessageRetentionPeriod"] == "86400"
    assert queue.tags == {"team": "shop"}
    (mapping,) = project.mappings
    assert mapping.members == {
        "EventSourceArn": f"{QUEUE}:orders",
        "FunctionName": "handler",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 3,
        "ScalingConfig": {"MaximumConcurrency": 2},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": '{"body": {"kind": ["new"]}}'}]},
        "Enabled": False,
    }


def test_a_fifo_queue_is_declared_by_its_name():
    app = App()
    app.queue("steps.fifo", content_based_deduplication=True)

    (queue,) = here(app).queues

    assert queue.attributes["FifoQueue"] == "true"
    assert queue.attributes["ContentBasedDeduplication"] == "true"


def test_a_stream_feeds_the_function_that_it_decorates():
    app = App()
    app.queue("failed")

    app.stream(
        "clicks",
        shards=4,
        retention="2d",
        start="LATEST",
        batch_size=7,
        window=2,
        retries=3,
        max_age="1h",
        bisect=True,
        parallel=5,
        tumbling_window=60,
        on_failure="failed",
        filter=['{"data": {"kind": ["new"]}}'],
    )(handler)

    project = here(app)
    (stream,) = project.streams
    assert (stream.members, stream.retention_hours) == ({"ShardCount": 4}, 48)
    (mapping,) = project.mappings
    assert mapping.members == {
        "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/clicks",
        "FunctionName": "handler",
        "StartingPosition": "LATEST",
        "BatchSize": 7,
        "MaximumRetryAttempts": 3,
        "MaximumRecordAgeInSeconds": 3_600,
        "BisectBatchOnFunctionError": True,
        "ParallelizationFactor": 5,
        "TumblingWindowInSeconds": 60,
        "MaximumBatchingWindowInSeconds": 2,
        "FunctionResponseTypes": [],
        "FilterCriteria": {"Filters": [{"Pattern": '{"data": {"kind": ["new"]}}'}]},
        "Enabled": True,
        "DestinationConfig": {"OnFailure": {"Destination": f"{QUEUE}:failed"}},
    }


def test_schedules_are_named_after_their_function():
    app = App()
    app.schedule("rate(5 minutes)", input={"kind": "often"})(handler)
    app.schedule("cron(0 12 * * ? *)", description="noon", enabled=False)(handler)
    app.schedule("rate(1 day)", name="daily")(handler)

    first, second, third = here(app).schedules

    assert [first.name, second.name, third.name] == ["handler", "handler-2", "daily"]
    assert first.targets == (
        {
            "Id": "function",
            "Arn": "arn:aws:lambda:us-east-1:000000000000:function:handler",
            "Input": '{"kind": "often"}',
        },
    )
    assert second.members == {
        "ScheduleExpression": "cron(0 12 * * ? *)",
        "Description": "noon",
        "State": "DISABLED",
    }


def test_routes_lead_to_their_function():
    app = App()
    app.route("GET /orders/{id}", payload_format="1.0", api="shop")(handler)
    app.route("$default")(another)

    routes = here(app).routes

    assert [(route.route_key, route.function, route.payload_format, route.api) for route in routes] == [
        ("GET /orders/{id}", "handler", "1.0", "shop"),
        ("$default", "another", "2.0", "default"),
    ]


def test_several_decorators_declare_one_function():
    app = App()
    app.queue("orders")(app.route("POST /orders")(app.function(timeout=7)(handler)))

    project = here(app)

    assert [function.members["Timeout"] for function in project.functions] == [7]
    assert len(project.mappings) == len(project.routes) == 1


def test_the_order_of_decorators_does_not_matter():
    app = App()
    app.function(timeout=7)(app.queue("orders")(handler))

    assert [function.members["Timeout"] for function in here(app).functions] == [7]


def test_the_defaults_are_those_of_the_api():
    app = App()
    app.function()(handler)
    app.queue("orders")(handler)
    app.stream("clicks")(handler)

    project = here(app)

    assert check(project) == []
    function = project.functions[0]
    assert (function.members["Timeout"], function.members["MemorySize"]) == (3, 128)
    assert [mapping.members["BatchSize"] for mapping in project.mappings] == [10, 100]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("@app.function(timeout=0)", "@app.function: timeout=0 is not in 1..900"),
        ("@app.function(timeout=901)", "@app.function: timeout=901 is not in 1..900"),
        ("@app.function(timeout='soon')", "@app.function: timeout='soon' is no duration"),
        ("@app.function(memory=100)", "@app.function: memory=100 is not in 128..10240"),
        ("@app.function(memory=True)", "@app.function: memory=True must be a whole number"),
        ("@app.function(retries=3)", "@app.function: retries=3 is not in 0..2"),
        ("@app.function(max_age=59)", "@app.function: max_age=59 is not in 60..21600"),
        ("@app.function(log_format='XML')", "@app.function: log_format='XML' must be one of Text, JSON"),
        ("@app.function(environment={'A': 1})", "@app.function: environment={'A': 1} must be a dict of str to str"),
        ("@app.function(max_age='30s')", "@app.function: max_age='30s' is not in 60..21600 seconds"),
        ("@app.function(description=5)", "@app.function: description=5 must be a text"),
        ("@app.function('no name')", "@app.function: name='no name' is no name of a function"),
        ("@app.function(dlq='lost')", "dlq='lost' is no queue and no function of this app"),
        ("@app.queue('a', batch_size=0)", "app.queue: batch_size=0 is not in 1..10000"),
        ("@app.queue('a', batch_size=11)", "app.queue: batch_size=11 over 10 needs a window"),
        ("@app.queue('a.fifo', batch_size=11)", "app.queue: batch_size=11 is not in 1..10"),
        ("@app.queue('a.fifo', window=1)", "app.queue: window=1 is not for FIFO queues"),
        ("@app.queue('a', window=301)", "app.queue: window=301 is not in 0..300"),
        ("@app.queue('a', max_concurrency=1)", "app.queue: max_concurrency=1 is not in 2..1000"),
        ("@app.queue('a', enabled='no')", "app.queue: enabled='no' must be True or False"),
        ("@app.queue('a', filter='{')", "app.queue: filter='{' is no event pattern"),
        ("@app.queue('a', filter='[]')", "app.queue: filter='[]' is no event pattern"),
        ("@app.queue('a', filter=5)", "app.queue: filter=5 is no event pattern"),
        ("@app.queue('a', filter={'a': {1}})", "app.queue: filter={'a': {1}} is no event pattern"),
        ("@app.queue('a', content_based_deduplication=True)", "content_based_deduplication=True is for FIFO queues"),
        ("@app.queue('a b')", "app.queue: name='a b' is no name of a queue"),
        ("@app.queue('a', max_receives=5)", "app.queue: max_receives=5 needs a dlq"),
        ("@app.queue('a', dlq='b', max_receives=0)", "app.queue: max_receives=0 is not in 1..1000"),
        ("@app.stream('a', shards=0)", "app.stream: shards=0 is not in 1..10000"),
        ("@app.stream('a', retention='25h', start='NOW')", "app.stream: start='NOW' must be one of"),
        ("@app.stream('a', retention=90000 + 1)", "app.stream: retention=90001 is not a whole number of hours"),
        ("@app.stream('a', retries=-2)", "app.stream: retries=-2 is neither -1 nor in 0..10000"),
        ("@app.stream('a', max_age=59)", "app.stream: max_age=59 is neither -1 nor in 60..604800"),
        ("@app.stream('a', parallel=11)", "app.stream: parallel=11 is not in 1..10"),
        ("@app.schedule('every day')", "@app.schedule: expression='every day' must be rate(...) or cron(...)"),
        ("@app.schedule('rate(1 day)', input={1})", "@app.schedule: input={1} cannot be written as JSON"),
        ("@app.schedule('rate(1 day)', description=None)", "@app.schedule: description=None must be a text"),
        ("@app.route('GET /', api=5)", "@app.route: api=5 must be a text, not empty"),
        ("App(account=5)", "App: account=5 must be 12 digits"),
        ("App(region='here')", "App: region='here' is no region"),
        ("App('')", "App: name='' must be a text, not empty"),
        ("@app.function(dlq=[app.queue('lost')])", "dlq=[<arn:aws:sqs:us-east-1:000000000000:lost>] is no queue"),
        ("@app.route('/orders')", "@app.route: key='/orders' must be a method and a path"),
        ("@app.route('FETCH /orders')", "@app.route: key='FETCH /orders' must be a method and a path"),
        ("@app.route('GET /', payload_format='3.0')", "@app.route: payload_format='3.0' must be one of 1.0, 2.0"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_name_value_rule_and_line(tmp_path, line, told):
    with pytest.raises(ProjectError) as refused:
        declared(tmp_path, f"\n# the third line\n{line}\ndef handler(event, context): ...\n")

    assert refused.value.place.file.endswith("app.py")
    assert refused.value.place.line == 4
    assert told in refused.value.message


def test_a_queue_is_declared_once_or_alike():
    app = App()
    app.queue("orders", batch_size=1)(handler)
    app.queue("orders", batch_size=2)(another)

    assert len(here(app).queues) == 1
    with pytest.raises(ProjectError, match="'orders' is declared otherwise already"):
        app.queue("orders", visibility=60)


def test_what_concerns_a_mapping_is_refused_where_there_is_none():
    app = App()
    app.queue("orders", batch_size=1)

    with pytest.raises(ProjectError, match="orders: BatchSize concerns a function, and none is decorated"):
        here(app)


def test_a_function_is_fed_from_a_source_once():
    app = App()
    app.queue("orders")(handler)
    app.queue("orders", batch_size=1)(handler)

    with pytest.raises(ProjectError, match="handler is fed from orders twice"):
        here(app)


def test_two_functions_of_one_name_are_refused():
    app = App()
    app.function("orders")(handler)
    app.function("orders")(another)

    with pytest.raises(ProjectError, match="two functions are called 'orders'"):
        here(app)


def test_settings_are_given_once_a_function():
    app = App()
    app.function(timeout=1)(handler)

    with pytest.raises(ProjectError, match="handler has one already"):
        app.function(timeout=2)(handler)


def test_routes_and_schedules_are_declared_once():
    app = App()
    app.route("GET /")(handler)
    app.route("GET /")(another)
    with pytest.raises(ProjectError, match="the route 'GET /' is declared twice"):
        here(app)

    app = App()
    app.schedule("rate(1 day)", name="daily")(handler)
    app.schedule("rate(1 day)", name="daily")(another)
    with pytest.raises(ProjectError, match="two schedules are called 'daily'"):
        here(app)


def test_a_function_inside_of_another_cannot_be_found():
    app = App()

    @app.function()
    def inner(event, context): ...

    with pytest.raises(ProjectError, match="inner cannot be found by its name"):
        here(app)


def test_a_handler_must_be_callable():
    with pytest.raises(ProjectError, match="decorate a function"):
        App().queue("orders")("handler")


def test_importing_the_app_loads_the_standard_library_only():
    imports = "from eventrouter import App, Context"
    code = f"import sys; before = set(sys.modules); {imports}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)

    loaded = {name.partition(".")[0] for name in done.stdout.split()} - {"eventrouter"}

    assert loaded <= sys.stdlib_module_names
    assert "asyncio" not in loaded


def test_the_context_is_the_one_that_handlers_get():
    from eventrouter import Context
    from eventrouter.runtime.bootstrap_context import LambdaContext

    assert Context is LambdaContext


def test_the_package_has_nothing_else_to_be_asked_for():
    import eventrouter

    with pytest.raises(AttributeError, match="has no attribute 'Application'"):
        eventrouter.Application  # noqa: B018
