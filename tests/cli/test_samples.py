"""`eventrouter samples`, and `eventrouter invoke --sample`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from eventrouter.cli import main
from eventrouter.samples import Scene, find_sample
from tests.cli.dev_node import DevNode

ECHO = """
def handler(event, context):
    return event
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    node = DevNode(folder / "data")
    try:
        node.create("echo", ECHO, folder)
        yield node
    finally:
        node.stop()


def event_of(name):
    return find_sample(name).build(Scene())


def refusal(capsys, *arguments, code):
    assert main(list(arguments)) == code
    told = capsys.readouterr()
    assert told.out == ""
    return told.err


@pytest.mark.unit
class TestSamples:
    def test_every_sample_is_listed_with_how_it_is_invoked(self, capsys):
        assert main(["samples", "ls"]) == 0

        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["sample", "invoked", "what", "happened"]
        assert "kinesis:put                  mapping  Two records of a stream." in lines
        assert "s3:put                       event    An object was put." in lines

    def test_the_samples_of_one_source_come_as_json_on_request(self, capsys):
        assert main(["samples", "ls", "alb", "--json"]) == 0

        assert json.loads(capsys.readouterr().out) == [
            {"name": "alb:get", "invoked": "request", "summary": "A request of a load balancer."},
            {
                "name": "alb:multi-value",
                "invoked": "request",
                "summary": "A request of a load balancer that sends lists of values.",
            },
        ]

    def test_a_source_without_samples_is_refused(self, capsys):
        told = refusal(capsys, "samples", "ls", "fax", code=2)

        assert "there are no samples of 'fax', but of alb, authorizer, " in told

    def test_an_event_is_shown_as_it_is_sent(self, capsys):
        assert main(["samples", "show", "s3:put"]) == 0

        assert json.loads(capsys.readouterr().out) == event_of("s3:put")

    def test_an_event_is_shown_with_its_changes_and_what_is_told_of_it(self, capsys):
        assert main(["samples", "show", "sqs:fifo", "--set", "Records[0].body=one", "--json"]) == 0

        expected = event_of("sqs:fifo")
        expected["Records"][0]["body"] = "one"
        assert json.loads(capsys.readouterr().out) == {
            "name": "sqs:fifo",
            "invoked": "mapping",
            "summary": "Three messages of one group of a FIFO queue.",
            "event": expected,
        }

    def test_what_is_not_there_is_told(self, capsys):
        assert "did you mean s3:put?" in refusal(capsys, "samples", "show", "s3:puut", code=1)
        told = refusal(capsys, "samples", "show", "s3:put", "--set", "records=1", "--set", "a.b=1", code=1)
        assert "the event has no member 'a', but Records, records" in told

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("--set", "a=1"), "--set changes a sample's event: it needs --sample"),
            (("--payload", "{}", "--set", "a=1"), "--set changes a sample's event: it needs --sample"),
            (("--payload", "{}", "--sample", "s3:put"), "--payload and --sample exclude each other"),
        ],
    )
    def test_options_of_invoke_that_do_not_go_together_are_refused(self, arguments, told, capsys):
        assert told in refusal(capsys, "invoke", "echo", *arguments, code=2)

    def test_a_sample_is_sought_before_a_node(self, capsys):
        told = refusal(capsys, "invoke", "echo", "--sample", "fax:sent", "--url", "http://127.0.0.1:1", code=1)

        assert told == "error: there is no sample 'fax:sent': `eventrouter samples ls` lists them\n"

    def test_the_command_line_loads_samples_only_when_it_shows_them(self):
        code = (
            "import sys; from eventrouter.cli import main; main(['samples', '--help']); main(['invoke', '--help']); "
            "print(' '.join(sys.modules), file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert not [name for name in done.stderr.split() if name.startswith(("eventrouter.samples", "botocore"))]


@pytest.mark.integration
class TestInvoke:
    def test_a_function_is_given_the_samples_event(self, cli):
        code, out, _ = cli("invoke", "echo", "--sample", "dynamodb:modify")

        assert code == 0
        assert json.loads(out) == event_of("dynamodb:modify")

    def test_a_function_is_given_the_event_as_it_was_changed(self, cli):
        change = "Records[0].s3.object.key=späte+bestellung.json"
        code, out, _ = cli("invoke", "echo", "--sample", "s3:put", "--set", change, "--json")

        assert code == 0
        given = json.loads(out)["payload"]
        assert given["Records"][0]["s3"]["object"]["key"] == "späte+bestellung.json"

    def test_a_sample_can_be_queued_as_an_event(self, cli):
        code, out, _ = cli("invoke", "echo", "--sample", "sns:publish", "--async")

        assert code == 0
        assert out.startswith("accepted  ")
