"""DynamoDB streams as a source: the event's exact shape, positions, shards that come and go, servers in trouble."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from eventrouter.clock import SystemClock
from eventrouter.errors import AdapterError
from eventrouter.ports import AdapterContext, SourceShard
from eventrouter.rules.mapping import StartingPosition
from eventrouter.settings import Settings
from eventrouter_adapters import dynamodb
from eventrouter_adapters.dynamodb.source import EMPTY_PAGES_AT_THE_TIP, DynamoDBStreamSource
from tests.adapters.dynamodb_streams import FIRST_SEQUENCE, StreamsServer
from tests.adapters.stream_worlds import dynamodb_source

pytestmark = pytest.mark.integration

Scenario = Callable[[DynamoDBStreamSource, StreamsServer], Awaitable[None]]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[tuple[DynamoDBStreamSource, StreamsServer]]:
    with StreamsServer() as server, dynamodb_source(server.url) as source:
        yield source, server


@pytest.fixture
def play(endpoint) -> Iterator[Callable[[Scenario], None]]:
    source, server = endpoint
    yield lambda scenario: asyncio.run(scenario(source, server))
    server.fail_with, server.empty_pages, server.shards_a_page = None, 0, 100


async def records_of(source, arn, shard=None, *, after="0", limit=100, max_bytes=1 << 20):
    return await source.read(
        arn, shard or (await source.shards(arn))[0], after, limit=limit, max_bytes=max_bytes, identity_arn=""
    )


def test_an_event_has_the_shape_that_functions_know(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.put(
            arn,
            "a",
            ApproximateCreationDateTime=1_664_559_083,
            NewImage={"id": {"S": "a"}, "n": {"N": "101"}, "b": {"B": "Zm9vYmFy"}, "set": {"BS": ["AAE="]}},
            OldImage={"id": {"S": "a"}},
            SequenceNumber="111000000000000000000",
            record={"eventID": "c4ca4238a0b923820dcc509a6f75849b", "eventName": "MODIFY"},
        )

        (record,) = (await records_of(source, arn)).records

        assert record.event.decode() == (
            '{"eventID":"c4ca4238a0b923820dcc509a6f75849b","eventName":"MODIFY","eventVersion":"1.1",'
            '"eventSource":"aws:dynamodb","awsRegion":"eu-west-1","dynamodb":{'
            '"ApproximateCreationDateTime":1664559083.0,"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"},'
            '"n":{"N":"101"},"b":{"B":"Zm9vYmFy"},"set":{"BS":["AAE="]}},"OldImage":{"id":{"S":"a"}},'
            '"SequenceNumber":"111000000000000000000","SizeBytes":46,"StreamViewType":"NEW_AND_OLD_IMAGES"},'
            f'"eventSourceARN":"{arn}"}}'
        )
        assert record.arrived_ms == 1_664_559_083_000

    play(scenario)


def test_every_kind_of_attribute_arrives_as_it_was_put(play):
    image = {
        "map": {"M": {"list": {"L": [{"BOOL": True}, {"NULL": True}, {"B": "AP8="}]}}},
        "numbers": {"NS": ["1", "2.50"]},
        "strings": {"SS": ["ä", "\u2028"]},
        "empty": {"M": {}},
    }

    async def scenario(source, server):
        arn = server.make("orders")
        server.put(arn, "a", NewImage=image)

        (record,) = (await records_of(source, arn)).records

        assert json.loads(record.event)["dynamodb"]["NewImage"] == image

    play(scenario)


def test_a_removal_by_time_to_live_names_who_did_it(play):
    async def scenario(source, server):
        arn = server.make("orders")
        identity = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
        server.put(arn, "a", record={"eventName": "REMOVE", "userIdentity": identity})

        (record,) = (await records_of(source, arn)).records

        shown = json.loads(record.event)
        assert shown["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
        assert "NewImage" not in shown["dynamodb"]

    play(scenario)


def test_a_server_that_does_not_tell_sizes_is_read_too(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.put(arn, "a")
        for member in ("SizeBytes", "StreamViewType"):
            del server.streams[arn].shards[0].records[0]["dynamodb"][member]

        (record,) = (await records_of(source, arn)).records

        assert list(json.loads(record.event)["dynamodb"]) == ["ApproximateCreationDateTime", "Keys", "SequenceNumber"]

    play(scenario)


def test_the_partition_key_is_the_whole_primary_key_in_any_order(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.put(arn, "x", Keys={"id": {"S": "a"}, "at": {"N": "1"}})
        server.put(arn, "x", Keys={"at": {"N": "1"}, "id": {"S": "a"}})
        server.put(arn, "x", Keys={"id": {"S": "a"}, "at": {"N": "2"}})

        first, same, other = (await records_of(source, arn)).records

        assert first.key == same.key != other.key

    play(scenario)


def test_sequence_numbers_padded_with_zeros_are_told_and_taken_without_them(play):
    async def scenario(source, server):
        arn = server.make("orders")
        for number in (7, 8):
            server.put(arn, "a", SequenceNumber=f"{number:021}")

        page = await records_of(source, arn, limit=1)
        server.expire_iterators()
        following = await records_of(source, arn, after="7")

        assert page.records[0].sequence == "7"
        assert json.loads(page.records[0].event)["dynamodb"]["SequenceNumber"] == "7"
        assert [record.sequence for record in following.records] == ["8"]

    play(scenario)


def test_filters_see_the_kind_of_change_and_the_image(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.put(arn, "a", NewImage={"n": {"N": "101"}})

        (record,) = (await records_of(source, arn)).records
        seen = source.filterable(record.event)

        assert seen["eventName"] == "INSERT"
        assert seen["dynamodb"]["NewImage"] == {"n": {"N": "101"}}

    play(scenario)


def test_arrivals_are_shown_to_the_second(play):
    async def scenario(source, server):
        assert source.arrival_text(1_657_720_081_999) == "2022-07-13T13:48:01Z"

    play(scenario)


def test_shards_are_described_by_pages_and_know_their_parents(play):
    async def scenario(source, server):
        arn = server.make("orders", shards=3)
        first = server.streams[arn].shards[0]
        server.split(arn, first.id)
        server.shards_a_page = 2

        shards = await source.shards(arn)

        assert [shard.id for shard in shards] == [shard.id for shard in server.streams[arn].shards]
        assert [shard.parents for shard in shards] == [(), (), (), (first.id,)]

    play(scenario)


def test_a_parent_that_the_stream_has_forgotten_is_no_parent(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.split(arn, server.streams[arn].shards[0].id)
        del server.streams[arn].shards[0]

        (child,) = await source.shards(arn)

        assert child.parents == ()

    play(scenario)


def test_a_shard_that_the_stream_has_forgotten_ends_and_counts_as_lost(play):
    async def scenario(source, server):
        arn = server.make("orders")
        page = await records_of(source, arn, SourceShard(id="shardId-00000000000000000009-0a1b2c3d"))

        assert (list(page.records), page.is_end, page.has_lost) == ([], True, True)

    play(scenario)


def test_a_reader_keeps_its_iterator_from_page_to_page(play):
    async def scenario(source, server):
        arn = server.make("orders")
        for _ in range(4):
            server.put(arn, "a")
        (shard,) = await source.shards(arn)
        server.calls.clear()

        after = "0"
        for _ in range(4):
            after = (await records_of(source, arn, shard, after=after, limit=1)).records[0].sequence
        for _ in range(3):
            assert not (await records_of(source, arn, shard, after=after)).records

        looks_for_the_tip, looks_at_it = EMPTY_PAGES_AT_THE_TIP, 2
        assert server.calls == ["GetShardIterator", *["GetRecords"] * (4 + looks_for_the_tip + looks_at_it)]

    play(scenario)


def test_an_iterator_that_expired_is_made_anew(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.put(arn, "a")
        first = (await records_of(source, arn)).records[0]
        server.expire_iterators()
        server.put(arn, "b")

        page = await records_of(source, arn, after=first.sequence)

        assert [json.loads(record.key) for record in page.records] == [{"id": {"S": "b"}}]
        assert not page.has_lost

    play(scenario)


def test_records_trimmed_under_an_expired_iterator_are_reported_lost(play):
    async def scenario(source, server):
        arn = server.make("orders")
        for key in "abc":
            server.put(arn, key)
        first = (await records_of(source, arn, limit=1)).records[0]
        server.trim(arn)
        server.expire_iterators()

        page = await records_of(source, arn, after=first.sequence)

        assert (list(page.records), page.has_lost) == ([], True)

    play(scenario)


def test_empty_pages_between_records_are_not_taken_for_the_tip(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.empty_pages = 2
        server.put(arn, "a")
        server.put(arn, "b")

        first = (await records_of(source, arn, limit=1)).records[0]
        second = (await records_of(source, arn, after=first.sequence)).records[0]

        assert [json.loads(record.key) for record in (first, second)] == [{"id": {"S": "a"}}, {"id": {"S": "b"}}]

    play(scenario)


def test_latest_reads_past_empty_pages_to_the_tip(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.empty_pages = 2
        for number in range(1_500):
            server.put(arn, "a", ApproximateCreationDateTime=1_664_559_083, SequenceNumber=str(FIRST_SEQUENCE + number))
        (shard,) = await source.shards(arn)

        assert await source.position(arn, shard, StartingPosition.LATEST, 0) == str(FIRST_SEQUENCE + 1_499)

    play(scenario)


def test_latest_of_a_busy_shard_stops_at_the_moment_it_was_asked(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.put(arn, "a", ApproximateCreationDateTime=1_664_559_083, SequenceNumber=str(FIRST_SEQUENCE))
        server.put(arn, "a", ApproximateCreationDateTime=4_000_000_000, SequenceNumber=str(FIRST_SEQUENCE + 1))
        (shard,) = await source.shards(arn)

        assert await source.position(arn, shard, StartingPosition.LATEST, 0) == str(FIRST_SEQUENCE)

    play(scenario)


@pytest.mark.parametrize(
    ("status", "code", "is_transient"),
    [
        (400, "LimitExceededException", True),
        (400, "ProvisionedThroughputExceededException", True),
        (500, "InternalServerError", True),
        (400, "UnrecognizedClientException", False),
    ],
)
def test_a_server_that_refuses_says_whether_to_come_again(play, status, code, is_transient):
    async def scenario(source, server):
        arn = server.make("orders")
        (shard,) = await source.shards(arn)
        server.fail_with = status, code

        with pytest.raises(AdapterError, match=code) as failure:
            await records_of(source, arn, shard)

        assert failure.value.transient is is_transient

    play(scenario)


def test_reading_goes_on_where_it_stood_when_a_server_answers_again(play):
    async def scenario(source, server):
        arn = server.make("orders")
        server.put(arn, "a")
        (shard,) = await source.shards(arn)
        first = (await records_of(source, arn, shard)).records[0]
        server.put(arn, "b")
        server.fail_with = 500, "InternalServerError"
        with pytest.raises(AdapterError):
            await records_of(source, arn, shard, after=first.sequence)
        server.fail_with = None
        server.expire_iterators()

        page = await records_of(source, arn, shard, after=first.sequence)

        assert [json.loads(record.key) for record in page.records] == [{"id": {"S": "b"}}]

    play(scenario)


def test_an_endpoint_that_is_not_there_is_named_in_the_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    async def scenario(source):
        with pytest.raises(AdapterError, match=url) as failure:
            await source.shards("arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2024-06-10T19:26:16.525")
        assert failure.value.transient

    with dynamodb_source(url) as source:
        asyncio.run(scenario(source))


@pytest.mark.parametrize(("endpoint_url", "services"), [(None, []), ("http://127.0.0.1:8000", ["dynamodb"])])
def test_the_adapter_brings_a_source_only_with_an_endpoint(endpoint_url, services):
    context = AdapterContext(settings=Settings(dynamodb_streams_endpoint=endpoint_url), clock=SystemClock(), store=None)

    assert [source.service for source in dynamodb.build(context).streams] == services
