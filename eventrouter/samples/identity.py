"""Triggers of Cognito: the function fills `response` and returns the whole event. Source: lambda-semantics §6.10."""

from __future__ import annotations

import copy
from collections.abc import Callable

from eventrouter.samples.model import Document, Invoked, Sample, Scene


def _trigger(
    source: str, *, request: Document | None = None, response: Document | None = None, is_confirmed: bool = True
) -> Callable[[Scene], Document]:
    """Return the builder of one trigger's event; `request` stands beside the user's attributes."""

    def build(scene: Scene) -> Document:
        user = scene.uuid("cognito:user")
        attributes = {"sub": user, "email": "ada@example.com"}
        if is_confirmed:
            attributes |= {"email_verified": "true", "cognito:user_status": "CONFIRMED"}
        return {
            "version": "1",
            "region": scene.region,
            "userPoolId": f"{scene.region}_Ab1Cd2Ef3",
            "userName": "ada",
            "triggerSource": source,
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "1example23456789"},
            "request": {"userAttributes": attributes, **copy.deepcopy(request or {})},
            "response": copy.deepcopy(response or {}),
        }

    return build


def _migration(scene: Scene) -> Document:
    """The user is not there yet, so the request has no attributes."""
    build = _trigger(
        "UserMigration_Authentication",
        request={"password": "correct-horse", "validationData": None},
        response={
            "userAttributes": None,
            "forceAliasCreation": None,
            "enableSMSMFA": None,
            "finalUserStatus": None,
            "messageAction": None,
            "desiredDeliveryMediums": None,
        },
    )
    event = build(scene)
    del event["request"]["userAttributes"]
    return event


def _sync(scene: Scene) -> Document:
    return {
        "version": 2,
        "eventType": "SyncTrigger",
        "region": scene.region,
        "identityPoolId": f"{scene.region}:{scene.uuid('cognito:pool')}",
        "identityId": f"{scene.region}:{scene.uuid('cognito:identity')}",
        "datasetName": "settings",
        "datasetRecords": {"theme": {"oldValue": "light", "newValue": "dark", "op": "replace"}},
    }


def _sample(name: str, summary: str, build: Callable[[Scene], Document]) -> Sample:
    return Sample(name=f"cognito:{name}", summary=summary, invoked=Invoked.REQUEST, build=build)


SAMPLES = (
    _sample(
        "pre-signup",
        "A user signs up.",
        _trigger(
            "PreSignUp_SignUp",
            request={"validationData": None},
            response={"autoConfirmUser": False, "autoVerifyEmail": False, "autoVerifyPhone": False},
            is_confirmed=False,
        ),
    ),
    _sample("post-confirmation", "A user was confirmed.", _trigger("PostConfirmation_ConfirmSignUp")),
    _sample(
        "pre-authentication",
        "A user signs in.",
        _trigger("PreAuthentication_Authentication", request={"validationData": None}),
    ),
    _sample(
        "post-authentication",
        "A user signed in.",
        _trigger("PostAuthentication_Authentication", request={"newDeviceUsed": False}),
    ),
    _sample(
        "pre-token",
        "A token is about to be issued.",
        _trigger(
            "TokenGeneration_Authentication",
            request={
                "groupConfiguration": {
                    "groupsToOverride": ["buyers"],
                    "iamRolesToOverride": [],
                    "preferredRole": None,
                }
            },
            response={"claimsOverrideDetails": None},
        ),
    ),
    _sample(
        "custom-message",
        "A message to a user is about to be sent.",
        _trigger(
            "CustomMessage_SignUp",
            request={"codeParameter": "{####}", "linkParameter": "{##Click Here##}", "usernameParameter": None},
            response={"smsMessage": None, "emailMessage": None, "emailSubject": None},
            is_confirmed=False,
        ),
    ),
    _sample("migration", "An unknown user signs in.", _migration),
    _sample("sync", "A dataset of an identity changed.", _sync),
)
