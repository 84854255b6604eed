"""Events of SNS, EventBridge, its schedules, and SES. Source: lambda-semantics §6.2, §6.3, §6.5, §6.10."""

from __future__ import annotations

import base64
import json

from eventrouter.rules.schedule_event import scheduled_event
from eventrouter.rules.scheduled_rule import RuleName
from eventrouter.samples import storage
from eventrouter.samples.model import Document, Invoked, Sample, Scene, an_order

_TOPIC = "orders"


def sns_event(scene: Scene, message: str, *, subject: str | None = None) -> Document:
    """Return the event of one notification. Without a subject the member stands there as null."""
    topic = scene.arn("sns", _TOPIC)
    subscription = f"{topic}:{scene.uuid('sns:subscription')}"
    sns = f"https://sns.{scene.region}.amazonaws.com"
    return {
        "Records": [
            {
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription,
                "EventSource": "aws:sns",
                "Sns": {
                    "SignatureVersion": "1",
                    "Timestamp": scene.timestamp,
                    "Signature": base64.b64encode(scene.digits("sns:signature", 256).encode()).decode(),
                    "SigningCertUrl": f"{sns}/SimpleNotificationService-{scene.digits('sns:certificate', 32)}.pem",
                    "MessageId": scene.uuid("sns:message"),
                    "Message": message,
                    "MessageAttributes": {"kind": {"Type": "String", "Value": "order.placed"}},
                    "Type": "Notification",
                    "UnsubscribeUrl": f"{sns}/?Action=Unsubscribe&SubscriptionArn={subscription}",
                    "TopicArn": topic,
                    "Subject": subject,
                },
            }
        ]
    }


def sns_notification(scene: Scene) -> Document:
    """Return a notification as a queue receives it: other spellings, and no member for what is not there."""
    told: Document = sns_event(scene, json.dumps(an_order()))["Records"][0]["Sns"]
    order = ("Type", "MessageId", "TopicArn", "Message", "Timestamp", "SignatureVersion", "Signature")
    return {
        **{name: told[name] for name in order},
        "SigningCertURL": told["SigningCertUrl"],
        "UnsubscribeURL": told["UnsubscribeUrl"],
        "MessageAttributes": told["MessageAttributes"],
    }


def _message(scene: Scene) -> Document:
    return sns_event(scene, json.dumps(an_order()), subject="Order placed")


def _s3_by_sns(scene: Scene) -> Document:
    told = storage.notification(scene, "ObjectCreated:Put")
    return sns_event(scene, json.dumps(told), subject="Amazon S3 Notification")


def bus_event(scene: Scene, *, source: str, detail_type: str, detail: object, resources: list[str]) -> Document:
    """Return an event of an EventBridge bus, its members in AWS's order."""
    return {
        "version": "0",
        "id": scene.uuid(f"events:{source}:{detail_type}"),
        "detail-type": detail_type,
        "source": source,
        "account": scene.account,
        "time": scene.timestamp_s,
        "region": scene.region,
        "resources": resources,
        "detail": detail,
    }


def _custom(scene: Scene) -> Document:
    return bus_event(scene, source="shop.orders", detail_type="Order Placed", detail=an_order(), resources=[])


def _instance(scene: Scene) -> Document:
    instance = f"i-{scene.digits('ec2:instance', 17)}"
    return bus_event(
        scene,
        source="aws.ec2",
        detail_type="EC2 Instance State-change Notification",
        detail={"instance-id": instance, "state": "terminated"},
        resources=[scene.arn("ec2", f"instance/{instance}")],
    )


def _rule(scene: Scene) -> Document:
    rule = RuleName(account=scene.account, region=scene.region, name="every-five-minutes")
    event: Document = json.loads(scheduled_event(rule, scene.uuid("schedule:rule"), scene.at_ms))
    return event


def _scheduler(scene: Scene) -> Document:
    """EventBridge Scheduler without an Input of the target's own: `detail` is text."""
    return bus_event(
        scene,
        source="aws.scheduler",
        detail_type="Scheduled Event",
        detail="{}",
        resources=[scene.arn("scheduler", "schedule/default/nightly")],
    )


def _mail(scene: Scene) -> Document:
    sender, recipient, subject = "ada@example.com", "orders@example.org", "An order"
    message_id = scene.digits("ses:message", 40)
    return {
        "Records": [
            {
                "eventSource": "aws:ses",
                "eventVersion": "1.0",
                "ses": {
                    "mail": {
                        "timestamp": scene.timestamp,
                        "source": sender,
                        "messageId": message_id,
                        "destination": [recipient],
                        "headersTruncated": False,
                        "headers": [
                            {"name": "From", "value": f"Ada <{sender}>"},
                            {"name": "To", "value": recipient},
                            {"name": "Subject", "value": subject},
                        ],
                        "commonHeaders": {
                            "returnPath": sender,
                            "from": [f"Ada <{sender}>"],
                            "date": scene.moment.strftime("%a, %d %b %Y %H:%M:%S +0000"),
                            "to": [recipient],
                            "messageId": f"<{message_id}@example.com>",
                            "subject": subject,
                        },
                    },
                    "receipt": {
                        "timestamp": scene.timestamp,
                        "processingTimeMillis": 574,
                        "recipients": [recipient],
                        **{
                            f"{check}Verdict": {"status": "PASS"} for check in ("spam", "virus", "spf", "dkim", "dmarc")
                        },
                        "action": {
                            "type": "Lambda",
                            "functionArn": scene.arn("lambda", "function:take-orders"),
                            "invocationType": "Event",
                        },
                    },
                },
            }
        ]
    }


SAMPLES = (
    Sample(name="sns:publish", summary="A notification of a topic.", invoked=Invoked.EVENT, build=_message),
    Sample(name="sns:s3", summary="An object was put, told by a topic.", invoked=Invoked.EVENT, build=_s3_by_sns),
    Sample(name="eventbridge:custom", summary="An application's own event.", invoked=Invoked.EVENT, build=_custom),
    Sample(name="eventbridge:ec2", summary="An instance changed its state.", invoked=Invoked.EVENT, build=_instance),
    Sample(name="schedule:rule", summary="A scheduled rule fired.", invoked=Invoked.EVENT, build=_rule),
    Sample(
        name="schedule:scheduler",
        summary="A schedule of EventBridge Scheduler fired.",
        invoked=Invoked.EVENT,
        build=_scheduler,
    ),
    Sample(name="ses:receipt", summary="A mail was received.", invoked=Invoked.EVENT, build=_mail),
)
