"""Batches of Kafka, MQ, DocumentDB and Firehose. Source: lambda-semantics §4.11, §6.10."""

from __future__ import annotations

import base64
import json

from eventrouter.samples.model import Document, Invoked, Sample, Scene, an_order

_ORDER_BASE64 = base64.b64encode(json.dumps(an_order()).encode()).decode()


def _kafka_records(scene: Scene) -> Document:
    record = {
        "topic": "orders",
        "partition": 0,
        "offset": 15,
        "timestamp": scene.at_ms,
        "timestampType": "CREATE_TIME",
        "key": base64.b64encode(b"ada").decode(),
        "value": _ORDER_BASE64,
        "headers": [{"kind": list(b"order.placed")}],
    }
    return {"orders-0": [record, {**record, "offset": 16, "timestamp": scene.at_ms + 5}]}


def _msk(scene: Scene) -> Document:
    brokers = (f"b-{number}.shop.abcdef.c2.kafka.{scene.region}.amazonaws.com:9092" for number in (2, 1))
    return {
        "eventSource": "aws:kafka",
        "eventSourceArn": scene.arn("kafka", f"cluster/shop/{scene.uuid('kafka:cluster')}-2"),
        "bootstrapServers": ",".join(brokers),
        "records": _kafka_records(scene),
    }


def _self_managed(scene: Scene) -> Document:
    return {
        "eventSource": "SelfManagedKafka",
        "bootstrapServers": "kafka-1.example.com:9092,kafka-2.example.com:9092",
        "records": _kafka_records(scene),
    }


def _active_mq(scene: Scene) -> Document:
    return {
        "eventSource": "aws:mq",
        "eventSourceArn": scene.arn("mq", f"broker:shop:b-{scene.uuid('mq:broker')}"),
        "messages": [
            {
                "messageID": f"ID:b-1.mq.{scene.region}.amazonaws.com-40353-{scene.at_ms}-2:1:1:1:1",
                "messageType": "jms/text-message",
                "deliveryMode": 1,
                "replyTo": None,
                "type": None,
                "expiration": "60000",
                "priority": 1,
                "correlationId": "order-7",
                "redelivered": False,
                "destination": {"physicalname": "orders"},
                "data": _ORDER_BASE64,
                "timestamp": scene.at_ms,
                "brokerInTime": scene.at_ms,
                "brokerOutTime": scene.at_ms + 1,
                "properties": {"kind": "order.placed"},
            }
        ],
    }


def _rabbit_mq(scene: Scene) -> Document:
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": scene.arn("mq", f"broker:rabbit:b-{scene.uuid('rmq:broker')}"),
        "rmqMessagesByQueue": {
            "orders::/": [
                {
                    "basicProperties": {
                        "contentType": "application/json",
                        "contentEncoding": None,
                        "headers": {"kind": {"bytes": list(b"order.placed")}, "numberInHeader": 10},
                        "deliveryMode": 1,
                        "priority": 34,
                        "correlationId": None,
                        "replyTo": None,
                        "expiration": "60000",
                        "messageId": None,
                        "timestamp": scene.moment.strftime("%b %d, %Y, %I:%M:%S %p").replace(" 0", " "),
                        "type": None,
                        "userId": "AIDAEXAMPLE",
                        "appId": None,
                        "clusterId": None,
                        "bodySize": len(json.dumps(an_order())),
                    },
                    "redelivered": False,
                    "data": _ORDER_BASE64,
                }
            ]
        },
    }


def _document_db(scene: Scene) -> Document:
    identity = {"_id": {"$oid": scene.digits("docdb:id", 24)}}
    return {
        "eventSourceArn": scene.arn("rds", f"cluster:shop-{scene.digits('docdb:cluster', 8)}"),
        "eventSource": "aws:docdb",
        "events": [
            {
                "event": {
                    "_id": {"_data": scene.digits("docdb:token", 60)},
                    "clusterTime": {"$timestamp": {"t": scene.at_s, "i": 9}},
                    "documentKey": identity,
                    "fullDocument": {**identity, **an_order()},
                    "ns": {"db": "shop", "coll": "orders"},
                    "operationType": "insert",
                }
            }
        ],
    }


def _firehose(scene: Scene) -> Document:
    return {
        "invocationId": scene.uuid("firehose:invocation"),
        "deliveryStreamArn": scene.arn("firehose", "deliverystream/orders"),
        "region": scene.region,
        "records": [
            {
                "recordId": scene.digits("firehose:record", 56),
                "approximateArrivalTimestamp": scene.at_ms,
                "data": _ORDER_BASE64,
            }
        ],
    }


SAMPLES = (
    Sample(name="kafka:msk", summary="Two records of an MSK cluster.", invoked=Invoked.MAPPING, build=_msk),
    Sample(
        name="kafka:self-managed",
        summary="Two records of a cluster of one's own.",
        invoked=Invoked.MAPPING,
        build=_self_managed,
    ),
    Sample(name="mq:active", summary="A message of ActiveMQ.", invoked=Invoked.MAPPING, build=_active_mq),
    Sample(name="mq:rabbit", summary="A message of RabbitMQ.", invoked=Invoked.MAPPING, build=_rabbit_mq),
    Sample(name="documentdb:insert", summary="A document was inserted.", invoked=Invoked.MAPPING, build=_document_db),
    Sample(
        name="firehose:transform",
        summary="A record that Firehose wants transformed.",
        invoked=Invoked.REQUEST,
        build=_firehose,
    ),
)
