"""Powertools' idempotency under this router's retries: an event that is delivered again has no second effect."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.nodes import wait_until
from tests.powertools.functions import Functions
from tests.powertools.tables import Tables
from tests.powertools.test_queues import Queue

DYNAMODB = """
import os
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer

store = DynamoDBPersistenceLayer(table_name=os.environ["TABLE"])
"""

CACHE = """
import os
import redis
from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer

store = CachePersistenceLayer(client=redis.Redis(unix_socket_path=os.environ["CACHE"], decode_responses=True))
"""

PAYMENT = """
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent
from told import count, note, wait_for_file

config = IdempotencyConfig(event_key_jmespath="payment")

@idempotent(persistence_store=store, config=config)
def handler(event, context):
    note("runs", event["payment"])
    if event.get("fails", 0) >= count("runs"):
        raise RuntimeError("the bank did not answer")
    if event.get("hangs") and count("runs") == 1:
        wait_for_file("never")
    if event.get("waits"):
        wait_for_file("go")
    note("paid", event["payment"])
    return {"paid": event["payment"], "request": context.aws_request_id}
"""

BATCH = """
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from told import note

processor = BatchProcessor(event_type=EventType.SQS)
config = IdempotencyConfig(event_key_jmespath="body")

@idempotent_function(data_keyword_argument="record", persistence_store=store, config=config)
def pay(record):
    note("paid", record.body)

def record_handler(record):
    pay(record=record)

def handler(event, context):
    config.register_lambda_context(context)
    note("batches", len(event["Records"]))
    answer = process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
    if len(open(__import__("os").environ["NOTES"] + "/batches").readlines()) == 1:
        raise RuntimeError("the function fails once all is paid")
    return answer
"""


@pytest.fixture(params=["dynamodb", "cache"])
def store(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """The source that makes the store of what was done, and the variables that it reads."""
    if request.param == "dynamodb":
        tables: Tables = request.getfixturevalue("tables")
        return DYNAMODB, {"TABLE": tables.make().name}
    socket: Path = request.getfixturevalue("cache_socket")
    return CACHE, {"CACHE": str(socket)}


Store = tuple[str, dict[str, str]]


@pytest.fixture
def payments(functions: Functions, store: Store) -> str:
    source, variables = store
    return functions.make(source + PAYMENT, variables=variables, Timeout=15)


def test_a_second_call_gets_the_first_ones_answer(functions: Functions, payments: str) -> None:
    first = functions.account.invoke(payments, {"payment": "p-1"}).json
    second = functions.account.invoke(payments, {"payment": "p-1"}).json
    other = functions.account.invoke(payments, {"payment": "p-2"}).json

    assert first == second
    assert other["paid"] == "p-2"
    assert functions.noted("paid") == ["p-1", "p-2"]


def test_an_event_that_failed_runs_again_and_pays_once(functions: Functions, payments: str) -> None:
    done = functions.account.queue()
    functions.account.lambda_.put_function_event_invoke_config(
        FunctionName=payments, MaximumRetryAttempts=2, DestinationConfig={"OnSuccess": {"Destination": done.arn}}
    )

    functions.account.send(payments, {"payment": "p-1", "fails": 2})

    record = json.loads(done.receive()["Body"])
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responsePayload"]["paid"] == "p-1"
    assert functions.noted("runs") == ["p-1"] * 3
    assert functions.noted("paid") == ["p-1"]


def test_an_event_that_is_sent_twice_pays_once(functions: Functions, payments: str) -> None:
    done = functions.account.queue()
    functions.account.lambda_.put_function_event_invoke_config(
        FunctionName=payments, DestinationConfig={"OnSuccess": {"Destination": done.arn}}
    )

    requests = {functions.account.send(payments, {"payment": "p-1"}) for _ in range(2)}

    records = [json.loads(done.receive()["Body"]) for _ in range(2)]
    assert {record["requestContext"]["requestId"] for record in records} == requests
    assert records[0]["responsePayload"] == records[1]["responsePayload"]
    assert functions.noted("paid") == ["p-1"]


def test_a_call_while_another_one_runs_is_a_function_error(functions: Functions, payments: str) -> None:
    answers: list[Any] = []
    event = {"payment": "p-1", "waits": True}
    caller = threading.Thread(target=lambda: answers.append(functions.account.invoke(payments, event)))
    caller.start()
    functions.wait_noted("runs", 1)

    refused = functions.account.invoke(payments, event)
    functions.notes.write("go")
    caller.join(20)

    assert refused.function_error == "Unhandled"
    assert refused.json["errorType"] == "IdempotencyAlreadyInProgressError"
    assert answers[0].json["paid"] == "p-1"
    assert functions.noted("paid") == ["p-1"]


def test_a_run_that_was_cut_off_does_not_block_the_retry(functions: Functions, payments: str) -> None:
    """The lock of a run ends with the time that its context said was left: the function's timeout."""
    functions.account.lambda_.update_function_configuration(FunctionName=payments, Timeout=2)
    functions.account.wait_active(payments)

    functions.account.send(payments, {"payment": "p-1", "hangs": True})

    functions.wait_noted("paid", 1)

    assert functions.noted("paid") == ["p-1"]
    assert functions.noted("runs") == ["p-1"] * 2


def test_a_batch_that_comes_again_pays_nothing_twice(functions: Functions, store: Store) -> None:
    source, variables = store
    queue = Queue(functions)
    queue.send("p-1", "p-2", "p-3")
    functions.map(queue.arn, functions.make(source + BATCH, variables=variables, Timeout=2))

    wait_until("the batch to come again", lambda: len(functions.noted("batches")) >= 2)
    queue.wait_empty()

    assert Counter(functions.noted("paid")) == {"p-1": 1, "p-2": 1, "p-3": 1}
