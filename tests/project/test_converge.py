"""Making a node match a project, over HTTP, on a node as users run it: an account a test."""

import asyncio
import dataclasses
import itertools
import json
import os

import pytest

from eventrouter.project.api import ApiError, HttpApi, Unreachable
from eventrouter.project.converge import apply, converge, plan
from eventrouter.project.model import (
    MappingResource,
    Place,
    Project,
    ProjectError,
    QueueResource,
    RouteResource,
    ScheduleResource,
    StreamResource,
)
from eventrouter.project.plan import Action
from tests.e2e.nodes import NodeProcess
from tests.project.apps import a_function

pytestmark = pytest.mark.integration

REGION = "us-east-1"
PLACE = Place("app.py", 3)
_accounts = itertools.count(os.getpid() * 1_000 + 100_000_000_000)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    process = NodeProcess(tmp_path_factory.mktemp("node") / "data")
    try:
        yield process.start()
    finally:
        process.stop()


class Shop:
    """A project under construction in an account of its own, and the node that is to match it."""

    def __init__(self, url, folder):
        self.account = str(next(_accounts))
        self.folder = folder
        self.api = HttpApi(url, account=self.account)
        self.name = "shop"

    def arn(self, service, resource):
        return f"arn:aws:{service}:{REGION}:{self.account}:{resource}"

    def project(self, **resources):
        return Project(name=self.name, account=self.account, region=REGION, **resources)

    def function(self, name="orders", **changes):
        return a_function(self.folder, name, **changes)

    def mapping(self, source="sqs", name="orders", function="orders", **members):
        resource = name if source == "sqs" else f"stream/{name}"
        given = {"EventSourceArn": self.arn(source, resource), "FunctionName": function, **members}
        if source == "kinesis":
            given = {"StartingPosition": "TRIM_HORIZON", **given}
        return MappingResource(members=given, place=PLACE)

    def plan(self, project, **options):
        return asyncio.run(plan(project, self.api, **options))

    def deploy(self, project, **options):
        """Converge; check that doing it again changes nothing; return what was done, by action."""
        made = asyncio.run(converge(project, self.api, **options))
        again = self.plan(project, **options)
        assert again.is_empty, again.as_text()
        return [(str(step.action), step.kind, step.name) for step in made.due]

    def changes(self, project, **options):
        """Deploy, and return what was changed of what is there, as text."""
        made = self.plan(project, **options)
        self.deploy(project, **options)
        return [str(change) for step in made.due for change in step.changes]

    def call(self, service, operation, **members):
        return asyncio.run(self.api.call(service, operation, members))

    def configuration(self, name="orders"):
        return self.call("lambda", "GetFunctionConfiguration", FunctionName=name)


@pytest.fixture
def shop(node, tmp_path):
    found = Shop(node.url, tmp_path / "code")
    found.folder.mkdir()
    yield found
    found.api.close()


def a_queue(name="orders", **attributes):
    return QueueResource(name=name, place=PLACE, attributes=attributes)


def test_everything_is_created_in_an_order_that_works_and_once(shop):
    dlq = shop.arn("sqs", "failed")
    project = shop.project(
        queues=(
            a_queue(RedrivePolicy=json.dumps({"deadLetterTargetArn": dlq, "maxReceiveCount": 3})),
            a_queue("failed"),
            a_queue("steps.fifo", FifoQueue="true", ContentBasedDeduplication="true"),
        ),
        streams=(StreamResource(name="clicks", place=PLACE, members={"ShardCount": 2}, retention_hours=48),),
        functions=(
            shop.function(
                event_invoke={
                    "MaximumRetryAttempts": 1,
                    "DestinationConfig": {"OnSuccess": {"Destination": shop.arn("lambda", "function:audit")}},
                },
                reserved_concurrency=3,
            ),
            shop.function("audit"),
        ),
        mappings=(
            shop.mapping(BatchSize=5),
            shop.mapping("kinesis", "clicks", DestinationConfig={"OnFailure": {"Destination": dlq}}),
        ),
    )

    done = shop.deploy(project)

    assert done == [
        ("create", "queue", "failed"),
        ("create", "queue", "orders"),
        ("create", "queue", "steps.fifo"),
        ("create", "stream", "clicks"),
        ("create", "function", "orders"),
        ("create", "function", "audit"),
        ("create", "concurrency", "orders"),
        ("create", "async settings", "orders"),
        ("create", "mapping", "sqs orders -> orders"),
        ("create", "mapping", "kinesis clicks -> orders"),
    ]
    assert shop.configuration()["State"] == "Active"
    summary = shop.call("kinesis", "DescribeStreamSummary", StreamName="clicks")["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["RetentionPeriodHours"]) == (2, 48)
    mappings = shop.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]
    assert sorted(mapping["State"] for mapping in mappings) == ["Enabled", "Enabled"]
    answer = shop.call("lambda", "Invoke", FunctionName="orders", Payload=b'{"id": 1}')
    assert json.loads(answer["Payload"].read()) == {"id": 1}


def test_only_what_differs_of_a_function_is_updated(shop):
    shop.deploy(shop.project(functions=(shop.function(members={"Timeout": 10}),)))
    before = shop.configuration()

    told = shop.changes(
        shop.project(functions=(shop.function(members={"Timeout": 20, "Environment": {"Variables": {"STAGE": "1"}}}),))
    )

    after = shop.configuration()
    assert told == ["Timeout: 10 -> 20", 'Environment: none -> {"Variables": {"STAGE": "…"}}']
    assert (after["Timeout"], after["Environment"]) == (20, {"Variables": {"STAGE": "1"}})
    assert after["CodeSha256"] == before["CodeSha256"]


def test_what_is_declared_no_longer_goes_back_to_its_default(shop):
    failed = shop.arn("sqs", "failed")
    rich = shop.function(
        members={
            "Timeout": 10,
            "MemorySize": 256,
            "Description": "old",
            "Environment": {"Variables": {"STAGE": "1"}},
            "DeadLetterConfig": {"TargetArn": failed},
            "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR"},
            "Tags": {"team": "shop"},
        },
        event_invoke={"MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": failed}}},
        reserved_concurrency=1,
    )
    queue = a_queue(VisibilityTimeout="60", DelaySeconds="5")
    mapping = shop.mapping(BatchSize=5, ScalingConfig={"MaximumConcurrency": 2})
    shop.deploy(shop.project(queues=(queue, a_queue("failed")), functions=(rich,), mappings=(mapping,)))

    shop.deploy(
        shop.project(queues=(a_queue(), a_queue("failed")), functions=(shop.function(),), mappings=(shop.mapping(),))
    )

    found = shop.configuration()
    assert (found["Timeout"], found["MemorySize"], found["Description"]) == (3, 128, "")
    assert found["LoggingConfig"]["LogFormat"] == "Text"
    assert "DeadLetterConfig" not in found
    assert not found.get("Environment", {}).get("Variables")
    function = shop.call("lambda", "GetFunction", FunctionName="orders")
    assert function["Tags"] == {"eventrouter:project": "shop"}
    assert "Concurrency" not in function
    with pytest.raises(ApiError, match="ResourceNotFoundException"):
        shop.call("lambda", "GetFunctionEventInvokeConfig", FunctionName="orders")
    (mapping,) = shop.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]
    assert mapping["BatchSize"] == 10
    assert "ScalingConfig" not in mapping
    url = shop.call("sqs", "GetQueueUrl", QueueName="orders")["QueueUrl"]
    attributes = shop.call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (attributes["VisibilityTimeout"], attributes["DelaySeconds"]) == ("30", "0")


def test_asynchronous_settings_are_changed_member_by_member(shop):
    failed = {"Destination": shop.arn("sqs", "failed")}
    both = {"OnSuccess": failed, "OnFailure": failed}
    queues = (a_queue("failed"),)
    shop.deploy(shop.project(queues=queues, functions=(shop.function(event_invoke={"DestinationConfig": both}),)))

    shop.deploy(
        shop.project(
            queues=queues,
            functions=(
                shop.function(event_invoke={"DestinationConfig": {"OnFailure": failed}}, reserved_concurrency=2),
            ),
        )
    )

    found = shop.call("lambda", "GetFunctionEventInvokeConfig", FunctionName="orders")
    assert found["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": failed}


def test_new_code_is_a_new_package(shop):
    shop.deploy(shop.project(functions=(shop.function(),)))
    (shop.folder / "app.py").write_text("def handler(event, context):\n    return 'new'\n")

    (change,) = shop.changes(shop.project(functions=(shop.function(),)))

    assert change.startswith("Code: ")
    answer = shop.call("lambda", "Invoke", FunctionName="orders", Payload=b"{}")
    assert answer["Payload"].read() == b'"new"'


def test_hot_reload_and_packages_replace_each_other(shop):
    project = shop.project(functions=(shop.function(),))

    shop.deploy(project)
    (to_folder,) = shop.plan(project, hot_reload=True).due
    shop.deploy(project, hot_reload=True)
    (shop.folder / "app.py").write_text("def handler(event, context):\n    return 'saved'\n")
    assert shop.plan(project, hot_reload=True).is_empty
    (to_package,) = shop.changes(project)

    assert to_folder.changes[0].after == f"file://{shop.folder}"
    assert to_package.startswith("Code: ")


def test_a_mapping_is_updated_in_place_and_replaced_where_it_must_be(shop):
    streams = (StreamResource(name="clicks", place=PLACE),)
    functions = (shop.function(),)
    mapping = shop.mapping("kinesis", "clicks", BatchSize=5, BisectBatchOnFunctionError=True)
    shop.deploy(shop.project(streams=streams, functions=functions, mappings=(mapping,)))
    (first,) = shop.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]

    mapping = shop.mapping("kinesis", "clicks", BatchSize=7, Enabled=False)
    done = shop.deploy(shop.project(streams=streams, functions=functions, mappings=(mapping,)))

    assert done == [("update", "mapping", "kinesis clicks -> orders")]
    (second,) = shop.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]
    assert (second["UUID"], second["BatchSize"], second["State"]) == (first["UUID"], 7, "Disabled")
    assert second["BisectBatchOnFunctionError"] is False

    mapping = shop.mapping("kinesis", "clicks", StartingPosition="LATEST")
    done = shop.deploy(shop.project(streams=streams, functions=functions, mappings=(mapping,)))

    assert done == [("replace", "mapping", "kinesis clicks -> orders")]
    (third,) = shop.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]
    assert third["UUID"] != first["UUID"]
    assert (third["StartingPosition"], third["State"]) == ("LATEST", "Enabled")


def test_a_stream_is_changed_in_place(shop):
    members = {"ShardCount": 1, "Tags": {"team": "a", "old": "1"}}
    shop.deploy(shop.project(streams=(StreamResource(name="clicks", place=PLACE, members=members),)))

    members = {"ShardCount": 2, "Tags": {"team": "b"}, "MaxRecordSizeInKiB": 2048}
    told = shop.changes(
        shop.project(streams=(StreamResource(name="clicks", place=PLACE, members=members, retention_hours=72),))
    )

    assert [line.partition(":")[0] for line in told] == [
        "RetentionPeriodHours",
        "MaxRecordSizeInKiB",
        "Tags",
        "ShardCount",
    ]
    assert told[-1] == "ShardCount: 1 -> 2"
    summary = shop.call("kinesis", "DescribeStreamSummary", StreamName="clicks")["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["RetentionPeriodHours"]) == (2, 72)
    tags = shop.call("kinesis", "ListTagsForStream", StreamName="clicks")["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "b", "eventrouter:project": "shop"}
    shop.deploy(
        shop.project(
            streams=(
                StreamResource(name="clicks", place=PLACE, members={"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
            )
        )
    )


def test_what_is_declared_no_longer_is_deleted_but_for_what_holds_data(shop):
    project = shop.project(
        queues=(a_queue(),),
        streams=(StreamResource(name="clicks", place=PLACE),),
        functions=(shop.function(), shop.function("other")),
        mappings=(shop.mapping(), shop.mapping("kinesis", "clicks")),
    )
    shop.deploy(project)
    less = shop.project(functions=(shop.function("other"),))

    done = shop.deploy(less)

    assert sorted(done[:2]) == [
        ("delete", "mapping", "kinesis clicks -> orders"),
        ("delete", "mapping", "sqs orders -> orders"),
    ]
    assert done[2:] == [("delete", "function", "orders")]
    left = [(step.kind, step.name) for step in shop.plan(less).steps if step.action is Action.LEAVE]
    assert sorted(left) == [("queue", "orders"), ("stream", "clicks")]
    assert sorted(shop.deploy(less, prune=True)) == [("delete", "queue", "orders"), ("delete", "stream", "clicks")]
    assert [step.name for step in shop.plan(less).steps] == ["other"]


def test_what_others_made_is_updated_but_never_deleted(shop):
    shop.call("sqs", "CreateQueue", QueueName="orders", Attributes={"VisibilityTimeout": "77"})
    shop.call("sqs", "CreateQueue", QueueName="theirs")

    assert shop.changes(shop.project(queues=(a_queue(),))) == ["VisibilityTimeout: 77 -> 30"]
    assert shop.deploy(shop.project(), prune=True) == []
    urls = shop.call("sqs", "ListQueues")["QueueUrls"]
    assert sorted(url.rpartition("/")[2] for url in urls) == ["orders", "theirs"]


def test_what_belongs_to_another_project_is_refused(shop):
    project = shop.project(
        queues=(a_queue(),), streams=(StreamResource(name="clicks", place=PLACE),), functions=(shop.function(),)
    )
    shop.deploy(project)

    for part in ("queues", "streams", "functions"):
        other = Project(name="other", account=shop.account, region=REGION, **{part: getattr(project, part)})
        with pytest.raises(ProjectError, match=r"app\.py:3: the \w+ \w+ belongs to the project 'shop' already"):
            shop.plan(other)
    assert shop.deploy(Project(name="other", account=shop.account, region=REGION), prune=True) == []


def test_a_refusal_is_told_with_its_place_and_what_was_done_stays(shop):
    bad = MappingResource(
        members={"EventSourceArn": shop.arn("sqs", "missing"), "FunctionName": "orders"}, place=Place("app.py", 9)
    )

    with pytest.raises(
        ProjectError, match=r"app\.py:9: mapping sqs missing -> orders: cannot create: .*NonExistentQueue"
    ):
        shop.deploy(shop.project(functions=(shop.function(),), mappings=(bad,)))

    assert shop.configuration()["State"] == "Active"
    assert shop.deploy(shop.project(functions=(shop.function(),))) == []


def test_a_plan_changes_nothing(shop):
    made = shop.plan(shop.project(functions=(shop.function(),), queues=(a_queue(),)))

    assert made.count(Action.CREATE) == 2
    assert shop.plan(shop.project(functions=(shop.function(),), queues=(a_queue(),))).steps == made.steps
    told = []
    asyncio.run(apply(made, on_step=lambda step: told.append(step.name)))
    assert told == ["orders", "orders"]


def test_two_that_deploy_the_same_at_the_same_time_both_succeed(shop):
    project = shop.project(
        queues=(a_queue(),), functions=(shop.function(), shop.function("audit")), mappings=(shop.mapping(),)
    )

    async def both():
        await asyncio.gather(*(converge(project, shop.api) for _ in range(3)))

    asyncio.run(both())

    assert shop.plan(project).is_empty
    assert len(shop.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]) == 1


def test_two_that_deploy_routes_at_the_same_time_make_one_api(shop):
    functions = (shop.function(),)
    routes = tuple(RouteResource(route_key=f"GET /{name}", function="orders", place=PLACE) for name in "abc")
    shop.deploy(shop.project(functions=functions))

    async def all_of_them():
        await asyncio.gather(*(converge(shop.project(functions=functions, routes=routes), shop.api) for _ in range(4)))

    asyncio.run(all_of_them())

    (api,) = shop.call("apigatewayv2", "GetApis")["Items"]
    assert len(shop.call("apigatewayv2", "GetRoutes", ApiId=api["ApiId"])["Items"]) == 3
    assert shop.plan(shop.project(functions=functions, routes=routes)).is_empty


def test_of_two_apis_of_the_project_the_older_one_stays(shop):
    resources = {
        "functions": (shop.function(),),
        "routes": (RouteResource(route_key="GET /", function="orders", place=PLACE),),
    }
    shop.deploy(shop.project(**resources))
    (older,) = shop.call("apigatewayv2", "GetApis")["Items"]
    shop.call("apigatewayv2", "CreateApi", Name="shop", ProtocolType="HTTP", Tags=older["Tags"])

    assert shop.deploy(shop.project(**resources)) == [("delete", "api", "shop")]

    assert [api["ApiId"] for api in shop.call("apigatewayv2", "GetApis")["Items"]] == [older["ApiId"]]


def test_what_somebody_else_has_deleted_meanwhile_is_gone(shop):
    everything = shop.project(
        queues=(a_queue(),),
        streams=(StreamResource(name="clicks", place=PLACE),),
        functions=(shop.function(),),
        mappings=(shop.mapping(),),
        schedules=(
            ScheduleResource(name="often", members={"ScheduleExpression": "rate(1 day)"}, targets=(), place=PLACE),
        ),
        routes=(RouteResource(route_key="GET /", function="orders", place=PLACE),),
    )
    shop.deploy(everything)
    first, second = shop.plan(shop.project(), prune=True), shop.plan(shop.project(), prune=True)

    asyncio.run(apply(first))
    asyncio.run(apply(second))

    assert shop.plan(shop.project(), prune=True).steps == ()


def test_what_can_be_known_to_fail_is_refused_before_anything_is_done(shop):
    bad = RouteResource(route_key="GET /{id", function="orders", place=Place("app.py", 9))

    with pytest.raises(ProjectError, match=r"app\.py:9: route default GET /\{id: '\{id' in"):
        shop.plan(shop.project(functions=(shop.function(),), routes=(bad,)))


def test_schedules_are_converged_with_their_targets(shop):
    functions = (shop.function(),)
    target = {"Id": "function", "Arn": shop.arn("lambda", "function:orders"), "Input": '{"a": 1}'}

    def schedule(expression, *targets, **members):
        return ScheduleResource(
            name="often", members={"ScheduleExpression": expression, **members}, targets=targets, place=PLACE
        )

    def project(*schedules):
        return shop.project(functions=functions, schedules=schedules)

    shop.deploy(project(schedule("rate(5 minutes)", target)))
    assert shop.deploy(project(schedule("rate(6 minutes)", target, State="DISABLED"))) == [
        ("update", "schedule", "often")
    ]
    rule = shop.call("events", "DescribeRule", Name="often")
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(6 minutes)", "DISABLED")

    plain = {"Id": "again", "Arn": target["Arn"]}
    assert shop.deploy(project(schedule("rate(6 minutes)", plain))) == [("update", "schedule", "often")]
    assert shop.call("events", "ListTargetsByRule", Rule="often")["Targets"] == [plain]

    assert shop.deploy(project()) == [("delete", "schedule", "often")]
    assert shop.call("events", "ListRules")["Rules"] == []


def test_routes_are_converged_with_their_integrations(shop):
    functions = (shop.function(), shop.function("other"))

    def project(*routes):
        return shop.project(functions=functions, routes=routes)

    def route(key, function="orders", **changes):
        return RouteResource(route_key=key, function=function, place=PLACE, **changes)

    shop.deploy(project(route("GET /orders/{id}"), route("POST /orders"), route("GET /a", api="other")))
    apis = shop.call("apigatewayv2", "GetApis")["Items"]
    assert sorted(api["Name"] for api in apis) == ["other", "shop"]

    done = shop.deploy(project(route("GET /orders/{id}", "other"), route("POST /orders", payload_format="1.0")))

    assert sorted(done) == [
        ("delete", "api", "other"),
        ("update", "route", "shop GET /orders/{id}"),
        ("update", "route", "shop POST /orders"),
    ]
    (api,) = shop.call("apigatewayv2", "GetApis")["Items"]
    assert len(shop.call("apigatewayv2", "GetIntegrations", ApiId=api["ApiId"])["Items"]) == 2
    assert shop.deploy(project(route("POST /orders"))) == [
        ("update", "route", "shop POST /orders"),
        ("delete", "route", "shop GET /orders/{id}"),
    ]
    (left,) = shop.call("apigatewayv2", "GetIntegrations", ApiId=api["ApiId"])["Items"]
    assert left["PayloadFormatVersion"] == "2.0"
    assert shop.deploy(project()) == [("delete", "api", "shop")]
    assert shop.call("apigatewayv2", "GetApis")["Items"] == []


def test_tags_are_converged_and_the_mark_stays(shop):
    def project(**tags):
        queue = dataclasses.replace(a_queue(), tags=tags)
        rule = {"ScheduleExpression": "rate(1 day)", "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
        return shop.project(
            queues=(queue,),
            functions=(shop.function(members={"Tags": tags}),),
            mappings=(shop.mapping(Tags=tags),),
            schedules=(ScheduleResource(name="often", members=rule, targets=(), place=PLACE),),
        )

    shop.deploy(project(team="a", old="1"))
    shop.deploy(project(team="b"))

    url = shop.call("sqs", "GetQueueUrl", QueueName="orders")["QueueUrl"]
    wanted = {"team": "b", "eventrouter:project": "shop"}
    assert shop.call("sqs", "ListQueueTags", QueueUrl=url)["Tags"] == wanted
    assert shop.call("lambda", "GetFunction", FunctionName="orders")["Tags"] == wanted
    (mapping,) = shop.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]
    assert shop.call("lambda", "ListTags", Resource=mapping["EventSourceMappingArn"])["Tags"] == wanted
    rule = shop.call("events", "ListTagsForResource", ResourceARN=shop.arn("events", "rule/often"))
    assert {tag["Key"]: tag["Value"] for tag in rule["Tags"]} == wanted


def test_no_node_is_told(tmp_path):
    api = HttpApi("http://127.0.0.1:9")

    with pytest.raises(Unreachable, match=r"no answer from http://127\.0\.0\.1:9"):
        asyncio.run(api.call("lambda", "ListFunctions", {}))
    api.close()
