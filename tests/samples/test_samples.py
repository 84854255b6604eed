"""Sample events: complete, JSON, always the same, and shaped as their sources shape them."""

from __future__ import annotations

import base64
import gzip
import importlib.metadata
import json
import re
from pathlib import Path

import pytest

from eventrouter.errors import ConfigError, EventRouterError
from eventrouter.samples import Invoked, Sample, Scene, catalogue, find_sample, load_samples

pytestmark = pytest.mark.unit

SAMPLES = load_samples()
FIXED = "2026-01-15T09:30:00"


def event_of(name, scene=None):
    return SAMPLES[name].build(scene or Scene())


@pytest.fixture(params=SAMPLES.values(), ids=lambda sample: sample.name)
def sample(request):
    return request.param


def test_every_source_has_samples():
    assert {sample.source for sample in SAMPLES.values()} == {
        *("alb", "authorizer", "cloudformation", "cloudfront", "codecommit", "cognito", "config", "documentdb"),
        *("dynamodb", "eventbridge", "firehose", "http", "kafka", "kinesis", "lambda", "logs", "mq", "s3"),
        *("schedule", "ses", "sns", "sqs", "websocket"),
    }


def test_a_sample_has_a_name_a_sentence_and_json(sample):
    event = sample.build(Scene())

    assert re.fullmatch(r"[a-z0-9]+:[a-z0-9-]+", sample.name)
    assert re.fullmatch(r"[A-Z].*\.", sample.summary)
    assert json.loads(json.dumps(event, allow_nan=False)) == event


def test_a_sample_is_the_same_whenever_it_is_built(sample):
    event = sample.build(Scene())
    text = json.dumps(event)
    clear(event)

    assert json.dumps(sample.build(Scene())) == text


def clear(value):
    """Take everything out of a document, from the inside."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            clear(inner)
        value.clear()


def test_a_sample_tells_of_the_account_and_region_of_its_scene(sample):
    text = json.dumps(sample.build(Scene(account="210987654321", region="eu-central-1")))

    assert not re.search(r"(?<![-\d])000000000000(?!\d)", text)
    assert "us-east-1" not in text


def test_the_scenes_instant_has_all_its_forms():
    scene = Scene()

    assert scene.timestamp == f"{FIXED}.568Z"
    assert scene.timestamp_s == f"{FIXED}Z"
    assert scene.at_s == 1_768_469_400
    assert scene.moment.isoformat() == f"{FIXED}.568000+00:00"


def test_unknown_names_are_refused_with_what_comes_near():
    for name, hint in (
        ("s3:putt", "did you mean s3:put?"),
        ("kinesis", "there are kinesis:put"),
        ("alb", "there are alb:get, alb:multi-value"),
        ("fax:sent", "`eventrouter samples ls` lists them"),
    ):
        with pytest.raises(EventRouterError, match="there is no sample") as refusal:
            find_sample(name)
        assert hint in str(refusal.value)


class EntryPoint:
    """A stand-in for what an installed package declares."""

    def __init__(self, name, samples):
        self.name = name
        self.value = f"{name}.samples:SAMPLES"
        self._samples = samples

    def load(self):
        if isinstance(self._samples, Exception):
            raise self._samples
        return self._samples


def test_installed_packages_bring_samples_of_their_own(monkeypatch):
    theirs = Sample(name="fax:sent", summary="A fax.", invoked=Invoked.EVENT, build=lambda scene: {"at": scene.at_ms})
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [EntryPoint(group, [theirs])])

    assert find_sample("fax:sent") is theirs
    assert "kinesis:put" not in load_samples()


def test_a_name_can_be_taken_once(monkeypatch):
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [EntryPoint("twice", [SAMPLES["s3:put"]])])

    with pytest.raises(ConfigError, match=r"the sample 's3:put' of twice\.samples:SAMPLES is there already"):
        load_samples()


def test_samples_that_do_not_load_name_their_package(monkeypatch):
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [EntryPoint("broken", ImportError("no fax"))])

    with pytest.raises(ConfigError, match=r"the samples 'broken' \(broken\.samples:SAMPLES\) do not load: no fax"):
        load_samples()


def test_our_adapters_samples_are_found_by_entry_point():
    found = importlib.metadata.entry_points(group=catalogue.GROUP)

    assert {entry.name for entry in found} >= {"dynamodb", "kinesis", "sqs"}


class TestShapes:
    """What the sources' own documents say, where a parser's model would let it pass."""

    def test_an_object_key_is_url_encoded_in_notifications_only(self):
        assert event_of("s3:put")["Records"][0]["s3"]["object"]["key"] == "incoming/order+7.json"
        assert event_of("s3:batch")["tasks"][0]["s3Key"] == "incoming/order+7.json"
        assert event_of("s3:eventbridge")["detail"]["object"]["key"] == "incoming/order 7.json"

    def test_event_names_of_s3_have_no_prefix(self):
        names = [
            event["Records"][0]["eventName"]
            for name in SAMPLES
            if name.startswith("s3:") and "Records" in (event := event_of(name))
        ]

        assert names
        assert not [name for name in names if name.startswith("s3:")]

    @pytest.mark.parametrize("name", ["s3:delete", "s3:delete-marker"])
    def test_what_was_deleted_has_no_size(self, name):
        about = event_of(name)["Records"][0]["s3"]["object"]

        assert not {"size", "eTag"} & about.keys()
        assert "sequencer" in about

    @pytest.mark.parametrize("name", ["s3:tagging", "s3:acl", "s3:transition", "s3:restore"])
    def test_only_puts_and_deletions_are_numbered(self, name):
        assert "sequencer" not in event_of(name)["Records"][0]["s3"]["object"]

    def test_spellings_of_sns_differ_between_functions_and_queues(self):
        direct = event_of("sns:publish")["Records"][0]["Sns"]
        queued = json.loads(event_of("sqs:sns")["Records"][0]["body"])

        assert {"SigningCertUrl", "UnsubscribeUrl"} <= direct.keys()
        assert {"SigningCertURL", "UnsubscribeURL"} <= queued.keys()
        assert "Subject" in direct
        assert "Subject" not in queued

    def test_events_of_a_bus_have_their_members_in_order(self):
        order = ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"]

        for name in ("schedule:rule", "schedule:scheduler", "eventbridge:custom", "s3:eventbridge"):
            assert list(event_of(name)) == order
            assert event_of(name)["time"] == f"{FIXED}Z"
        assert event_of("schedule:rule")["detail"] == {}
        assert event_of("schedule:scheduler")["detail"] == "{}"

    def test_a_record_of_kinesis_names_its_shard_and_itself(self):
        first, second = event_of("kinesis:put")["Records"]

        number = first["kinesis"]["sequenceNumber"]
        assert first["eventID"] == f"shardId-000000000000:{number}"
        assert int(number) < int(second["kinesis"]["sequenceNumber"])
        assert json.loads(base64.b64decode(first["kinesis"]["data"]))["order_id"] == "order-7"

    def test_images_of_dynamodb_tell_what_happened(self):
        def images(name):
            return {"NewImage", "OldImage"} & event_of(name)["Records"][0]["dynamodb"].keys()

        assert images("dynamodb:insert") == {"NewImage"}
        assert images("dynamodb:modify") == {"NewImage", "OldImage"}
        assert images("dynamodb:remove") == images("dynamodb:ttl") == {"OldImage"}
        assert event_of("dynamodb:ttl")["Records"][0]["userIdentity"]["principalId"] == "dynamodb.amazonaws.com"

    def test_messages_of_a_fifo_queue_are_numbered_in_their_group(self):
        records = event_of("sqs:fifo")["Records"]

        assert {record["attributes"]["MessageGroupId"] for record in records} == {"order-7"}
        numbers = [record["attributes"]["SequenceNumber"] for record in records]
        assert numbers == sorted(set(numbers))
        assert not {"MessageGroupId", "SequenceNumber"} & event_of("sqs:send")["Records"][0]["attributes"].keys()

    def test_version_one_shows_what_is_absent_as_null_and_version_two_leaves_it_out(self):
        assert event_of("http:rest")["stageVariables"] is None
        assert "version" not in event_of("http:rest")
        assert event_of("http:v1")["version"] == "1.0"
        assert "stageVariables" not in event_of("http:v2")
        assert "pathParameters" not in event_of("http:url")
        assert all(name == name.lower() for name in event_of("http:v2")["headers"])

    def test_a_load_balancer_sends_single_values_or_lists(self):
        single, lists = event_of("alb:get").keys(), event_of("alb:multi-value").keys()

        assert single - lists == {"queryStringParameters", "headers"}
        assert lists - single == {"multiValueQueryStringParameters", "multiValueHeaders"}

    def test_log_lines_are_packed(self):
        told = json.loads(gzip.decompress(base64.b64decode(event_of("logs:data")["awslogs"]["data"])))

        assert told["messageType"] == "DATA_MESSAGE"
        assert [len(event["id"]) for event in told["logEvents"]] == [56, 56]

    def test_physical_names_and_old_properties_come_with_the_requests_that_have_them(self):
        assert "PhysicalResourceId" not in event_of("cloudformation:create")
        assert "OldResourceProperties" in event_of("cloudformation:update")
        assert "OldResourceProperties" not in event_of("cloudformation:delete")
        assert event_of("cloudformation:delete")["PhysicalResourceId"]

    def test_records_of_failures_come_from_the_writers_of_records(self):
        failure = event_of("lambda:on-failure")
        assert failure["requestContext"]["condition"] == "RetriesExhausted"
        assert failure["responseContext"]["functionError"] == "Unhandled"
        assert "functionError" not in event_of("lambda:on-success")["responseContext"]

        batch = json.loads(event_of("sqs:stream-failure")["Records"][0]["body"])
        assert batch["KinesisBatchInfo"]["batchSize"] == 2


def test_the_samples_that_the_manual_names_are_there():
    text = (Path(__file__).parents[2] / "docs/samples.md").read_text()
    sources = {sample.source for sample in SAMPLES.values()}
    named = {name for name in re.findall(r"([a-z0-9]+:[a-z0-9*-]+)", text) if name.partition(":")[0] in sources}

    assert len(named) > 30
    assert {name for name in named if not name.endswith(":*")} <= SAMPLES.keys()
    assert {name.partition(":")[0] for name in named} == sources
