"""What is read from files passes the checks that the API makes of it."""

import pytest

from eventrouter.api.protocol.constraints import check_input
from eventrouter.api.protocol.models import service_model
from eventrouter.project.api import model_values
from eventrouter.project.serverless import read_serverless
from eventrouter.project.toml import read_toml
from tests.project.test_serverless import SHOP
from tests.project.test_toml import EVERYTHING

pytestmark = pytest.mark.unit

ROLE = "arn:aws:iam::000000000000:role/eventrouter"


@pytest.fixture(params=["serverless.yml", "eventrouter.toml"])
def project(request, tmp_path):
    """A project with everything in it, by each kind of file."""
    path = tmp_path / request.param
    (tmp_path / "src").mkdir()
    if request.param == "serverless.yml":
        path.write_text(SHOP)
        return read_serverless(path, {"resolve:ssm:/shop/secret": "x"}, environ={})
    path.write_text(EVERYTHING)
    return read_toml(path)


def calls(project):
    """Yield service, operation and members of the calls that make a project."""
    for function in project.functions:
        members = {"Role": ROLE, **function.members, "Code": {"ZipFile": b""}}
        yield "lambda", "CreateFunction", members
        if function.event_invoke is not None:
            members = {"FunctionName": function.name, **function.event_invoke}
            yield "lambda", "PutFunctionEventInvokeConfig", members
    for queue in project.queues:
        yield "sqs", "CreateQueue", {"QueueName": queue.name, "Attributes": queue.attributes, "tags": queue.tags}
    for stream in project.streams:
        yield "kinesis", "CreateStream", {"StreamName": stream.name, **stream.members}
    for mapping in project.mappings:
        yield "lambda", "CreateEventSourceMapping", mapping.members
    for schedule in project.schedules:
        yield "events", "PutRule", {"Name": schedule.name, **schedule.members}
        yield "events", "PutTargets", {"Rule": schedule.name, "Targets": schedule.targets}


def test_every_member_is_one_of_aws_s_with_a_value_that_it_may_have(project):
    made = set()
    for service, operation, members in calls(project):
        model = service_model(service).operation(operation)
        check_input(model, model_values(model.input, members))
        made.add(operation)

    assert made >= {"CreateFunction", "PutFunctionEventInvokeConfig", "CreateQueue", "CreateStream", "PutTargets"}
    assert "CreateEventSourceMapping" in made
