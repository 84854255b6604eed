"""Events of S3: notifications, their EventBridge form, and the tasks of a batch job.

Source: lambda-semantics §6.1, §6.3, §6.10.
"""

from __future__ import annotations

import urllib.parse

from eventrouter.samples.model import Document, Invoked, Sample, Scene

BUCKET = "orders-inbox"
KEY = "incoming/order 7.json"
SIZE_BYTES = 1_024
_OWNER = "A3NL1KOZZKEXAMPLE"


def notification(
    scene: Scene,
    event_name: str,
    *,
    version: str = "2.1",
    has_content: bool = True,
    has_sequencer: bool = True,
    **families: Document,
) -> Document:
    """Return the notification of one thing that happened to one object; `families` are members beside `s3`.

    Size and eTag are told of objects that have content, the sequencer of puts and deletions. The key is URL-encoded.
    """
    about: Document = {"key": urllib.parse.quote_plus(KEY, safe="/")}
    if has_content:
        about |= {"size": SIZE_BYTES, "eTag": scene.digits("s3:etag", 32)}
    about["versionId"] = scene.digits("s3:version", 32)
    if has_sequencer:
        about["sequencer"] = scene.digits("s3:sequencer", 18).upper()
    record = {
        "eventVersion": version,
        "eventSource": "aws:s3",
        "awsRegion": scene.region,
        "eventTime": scene.timestamp,
        "eventName": event_name,
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLEUPLOADER"},
        "requestParameters": {"sourceIPAddress": "192.0.2.10"},
        "responseElements": {
            "x-amz-request-id": scene.digits("s3:request", 16).upper(),
            "x-amz-id-2": scene.digits("s3:host", 76),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "new-orders",
            "bucket": {"name": BUCKET, "ownerIdentity": {"principalId": _OWNER}, "arn": f"arn:aws:s3:::{BUCKET}"},
            "object": about,
        },
        **families,
    }
    return {"Records": [record]}


def _restored(scene: Scene) -> Document:
    expires_at = Scene(at_ms=scene.at_ms + 86_400_000).timestamp
    data = {"lifecycleRestorationExpiryTime": expires_at, "lifecycleRestoreStorageClass": "GLACIER"}
    return notification(
        scene, "ObjectRestore:Completed", has_sequencer=False, glacierEventData={"restoreEventData": data}
    )


def _transition(scene: Scene) -> Document:
    data = {"transitionEventData": {"destinationStorageClass": "GLACIER"}}
    return notification(scene, "LifecycleTransition", version="2.3", has_sequencer=False, lifecycleEventData=data)


def _object_created(scene: Scene) -> Document:
    return {
        "version": "0",
        "id": scene.uuid("s3:eventbridge"),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": scene.account,
        "time": scene.timestamp_s,
        "region": scene.region,
        "resources": [f"arn:aws:s3:::{BUCKET}"],
        "detail": {
            "version": "0",
            "bucket": {"name": BUCKET},
            "object": {
                "key": KEY,
                "size": SIZE_BYTES,
                "etag": scene.digits("s3:etag", 32),
                "version-id": scene.digits("s3:version", 32),
                "sequencer": scene.digits("s3:sequencer", 18).upper(),
            },
            "request-id": scene.digits("s3:request", 16).upper(),
            "requester": scene.account,
            "source-ip-address": "192.0.2.10",
            "reason": "PutObject",
        },
    }


def _batch(scene: Scene) -> Document:
    return {
        "invocationSchemaVersion": "1.0",
        "invocationId": scene.digits("s3:invocation", 64),
        "job": {"id": scene.uuid("s3:job")},
        "tasks": [
            {
                "taskId": scene.digits("s3:task", 32),
                "s3Key": urllib.parse.quote_plus(KEY, safe="/"),
                "s3VersionId": None,
                "s3BucketArn": f"arn:aws:s3:::{BUCKET}",
            }
        ],
    }


def _plain(name: str, summary: str, event_name: str, **settings: bool | str) -> Sample:
    """Return the sample of a notification that has no members of its own."""
    return Sample(
        name=name,
        summary=summary,
        invoked=Invoked.EVENT,
        build=lambda scene: notification(scene, event_name, **settings),  # type: ignore[arg-type]  # flags and a text
    )


SAMPLES = (
    _plain("s3:put", "An object was put.", "ObjectCreated:Put"),
    _plain("s3:post", "An object was posted by a form.", "ObjectCreated:Post"),
    _plain("s3:copy", "An object was copied.", "ObjectCreated:Copy"),
    _plain("s3:multipart", "A multipart upload was completed.", "ObjectCreated:CompleteMultipartUpload"),
    _plain("s3:delete", "An object was deleted for good.", "ObjectRemoved:Delete", has_content=False),
    _plain(
        "s3:delete-marker",
        "An object of a versioned bucket was deleted.",
        "ObjectRemoved:DeleteMarkerCreated",
        has_content=False,
    ),
    _plain("s3:tagging", "An object was given tags.", "ObjectTagging:Put", version="2.3", has_sequencer=False),
    _plain("s3:acl", "An object's access control list was set.", "ObjectAcl:Put", version="2.3", has_sequencer=False),
    Sample(name="s3:restore", summary="An archived object can be read.", invoked=Invoked.EVENT, build=_restored),
    Sample(
        name="s3:transition", summary="An object changed its storage class.", invoked=Invoked.EVENT, build=_transition
    ),
    Sample(
        name="s3:eventbridge",
        summary="An object was put, told by EventBridge.",
        invoked=Invoked.EVENT,
        build=_object_created,
    ),
    Sample(name="s3:batch", summary="A task of an S3 batch job.", invoked=Invoked.REQUEST, build=_batch),
)
