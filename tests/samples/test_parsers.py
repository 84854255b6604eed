"""Sample events are what a parser that nobody here wrote takes them for: the models and data classes of Powertools."""

from __future__ import annotations

import base64
import inspect
import json

import pytest
from aws_lambda_powertools.utilities import data_classes
from aws_lambda_powertools.utilities.data_classes import (
    active_mq_event,
    api_gateway_authorizer_event,
    api_gateway_websocket_event,
    aws_config_rule_event,
    cloudformation_custom_resource_event,
    cognito_user_pool_event,
    rabbit_mq_event,
    s3_batch_operation_event,
)
from aws_lambda_powertools.utilities.data_classes.common import DictWrapper
from aws_lambda_powertools.utilities.parser import models

from eventrouter.samples import Scene, load_samples
from eventrouter.samples.model import an_order

pytestmark = pytest.mark.conformance

SAMPLES = load_samples()
NOTIFICATIONS = sorted(
    name for name in SAMPLES if name.startswith("s3:") and name not in {"s3:batch", "s3:eventbridge"}
)
BUS = ["eventbridge:custom", "eventbridge:ec2", "schedule:rule", "s3:eventbridge"]

MODELS = {
    **dict.fromkeys(NOTIFICATIONS, models.S3Model),
    **dict.fromkeys(BUS, models.EventBridgeModel),
    "s3:eventbridge": models.S3EventNotificationEventBridgeModel,
    "s3:batch": models.S3BatchOperationModel,
    "alb:get": models.AlbModel,
    "authorizer:token": models.ApiGatewayAuthorizerToken,
    "authorizer:request": models.ApiGatewayAuthorizerRequest,
    "authorizer:http": models.ApiGatewayAuthorizerRequestV2,
    "cloudformation:create": models.CloudFormationCustomResourceCreateModel,
    "cloudformation:update": models.CloudFormationCustomResourceUpdateModel,
    "cloudformation:delete": models.CloudFormationCustomResourceDeleteModel,
    "cognito:custom-message": models.CognitoCustomMessageTriggerModel,
    "cognito:migration": models.CognitoMigrateUserTriggerModel,
    "cognito:post-authentication": models.CognitoPostAuthenticationTriggerModel,
    "cognito:post-confirmation": models.CognitoPostConfirmationTriggerModel,
    "cognito:pre-authentication": models.CognitoPreAuthenticationTriggerModel,
    "cognito:pre-signup": models.CognitoPreSignupTriggerModel,
    "cognito:pre-token": models.CognitoPreTokenGenerationTriggerModelV1,
    "dynamodb:insert": models.DynamoDBStreamModel,
    "dynamodb:modify": models.DynamoDBStreamModel,
    "dynamodb:remove": models.DynamoDBStreamModel,
    "dynamodb:ttl": models.DynamoDBStreamModel,
    "firehose:transform": models.KinesisFirehoseModel,
    "http:rest": models.APIGatewayProxyEventModel,
    "http:v1": models.APIGatewayProxyEventModel,
    "http:v2": models.APIGatewayProxyEventV2Model,
    "http:url": models.LambdaFunctionUrlModel,
    "kafka:msk": models.KafkaMskEventModel,
    "kafka:self-managed": models.KafkaSelfManagedEventModel,
    "kinesis:put": models.KinesisDataStreamModel,
    "logs:data": models.CloudWatchLogsModel,
    "logs:control": models.CloudWatchLogsModel,
    "ses:receipt": models.SesModel,
    "sns:publish": models.SnsModel,
    "sns:s3": models.SnsModel,
    "sqs:fifo": models.SqsModel,
    "sqs:s3": models.S3SqsEventNotificationModel,
    "sqs:send": models.SqsModel,
    "sqs:sns": models.SqsModel,
    "sqs:stream-failure": models.SqsModel,
    "websocket:connect": models.APIGatewayWebSocketConnectEventModel,
    "websocket:message": models.APIGatewayWebSocketMessageEventModel,
    "websocket:disconnect": models.APIGatewayWebSocketDisconnectEventModel,
}

CLASSES = {
    **dict.fromkeys(NOTIFICATIONS, data_classes.S3Event),
    **dict.fromkeys(BUS, data_classes.EventBridgeEvent),
    "s3:eventbridge": data_classes.S3EventBridgeNotificationEvent,
    "s3:batch": s3_batch_operation_event.S3BatchOperationEvent,
    "alb:get": data_classes.ALBEvent,
    "alb:multi-value": data_classes.ALBEvent,
    "authorizer:token": api_gateway_authorizer_event.APIGatewayAuthorizerTokenEvent,
    "authorizer:request": api_gateway_authorizer_event.APIGatewayAuthorizerRequestEvent,
    "authorizer:http": api_gateway_authorizer_event.APIGatewayAuthorizerEventV2,
    "cloudformation:create": cloudformation_custom_resource_event.CloudFormationCustomResourceEvent,
    "cloudformation:update": cloudformation_custom_resource_event.CloudFormationCustomResourceEvent,
    "cloudformation:delete": cloudformation_custom_resource_event.CloudFormationCustomResourceEvent,
    "cognito:custom-message": cognito_user_pool_event.CustomMessageTriggerEvent,
    "cognito:migration": cognito_user_pool_event.UserMigrationTriggerEvent,
    "cognito:post-authentication": cognito_user_pool_event.PostAuthenticationTriggerEvent,
    "cognito:post-confirmation": cognito_user_pool_event.PostConfirmationTriggerEvent,
    "cognito:pre-authentication": cognito_user_pool_event.PreAuthenticationTriggerEvent,
    "cognito:pre-signup": cognito_user_pool_event.PreSignUpTriggerEvent,
    "cognito:pre-token": cognito_user_pool_event.PreTokenGenerationTriggerEvent,
    "config:change": aws_config_rule_event.AWSConfigRuleEvent,
    "dynamodb:insert": data_classes.DynamoDBStreamEvent,
    "dynamodb:modify": data_classes.DynamoDBStreamEvent,
    "dynamodb:remove": data_classes.DynamoDBStreamEvent,
    "dynamodb:ttl": data_classes.DynamoDBStreamEvent,
    "firehose:transform": data_classes.KinesisFirehoseEvent,
    "http:rest": data_classes.APIGatewayProxyEvent,
    "http:v1": data_classes.APIGatewayProxyEvent,
    "http:v2": data_classes.APIGatewayProxyEventV2,
    "http:url": data_classes.LambdaFunctionUrlEvent,
    "kafka:msk": data_classes.KafkaEvent,
    "kafka:self-managed": data_classes.KafkaEvent,
    "kinesis:put": data_classes.KinesisStreamEvent,
    "logs:data": data_classes.CloudWatchLogsEvent,
    "logs:control": data_classes.CloudWatchLogsEvent,
    "mq:active": active_mq_event.ActiveMQEvent,
    "mq:rabbit": rabbit_mq_event.RabbitMQEvent,
    "ses:receipt": data_classes.SESEvent,
    "sns:publish": data_classes.SNSEvent,
    "sns:s3": data_classes.SNSEvent,
    "sqs:fifo": data_classes.SQSEvent,
    "sqs:s3": data_classes.SQSEvent,
    "sqs:send": data_classes.SQSEvent,
    "sqs:sns": data_classes.SQSEvent,
    "sqs:stream-failure": data_classes.SQSEvent,
    "websocket:connect": api_gateway_websocket_event.APIGatewayWebSocketEvent,
    "websocket:message": api_gateway_websocket_event.APIGatewayWebSocketEvent,
    "websocket:disconnect": api_gateway_websocket_event.APIGatewayWebSocketEvent,
}

ABSENT = {
    **{name: {"sequencer"} for name in ("s3:acl", "s3:restore", "s3:tagging", "s3:transition")},
    **{name: {"size"} for name in ("s3:delete", "s3:delete-marker")},
    "authorizer:request": {"authorizationToken", "identitySource", "version"},
    "http:rest": {"version"},
    "mq:active": {"connectionId", "physicalName"},
}
"""Members that AWS leaves out of such events, and that a data class reads all the same."""

UNKNOWN = {
    "cloudfront:viewer-request",
    "codecommit:push",
    "cognito:sync",
    "documentdb:insert",
    "lambda:on-failure",
    "lambda:on-success",
    "schedule:scheduler",
}
"""Sources that Powertools does not know; a schedule's `detail` is text, which its bus does not send."""


def event_of(name):
    return SAMPLES[name].build(Scene())


def test_every_sample_has_a_parser_or_is_known_to_have_none():
    assert SAMPLES.keys() - MODELS.keys() - CLASSES.keys() == UNKNOWN


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_takes_the_sample(name):
    MODELS[name].model_validate(event_of(name))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_refuses_the_sample_without_a_member_that_it_needs(name):
    """The models are strict enough to tell samples from anything else."""
    event = event_of(name)
    required = [member.alias or label for label, member in MODELS[name].model_fields.items() if member.is_required()]
    assert required
    for member in required:
        with pytest.raises(ValueError, match=member):
            MODELS[name].model_validate({key: value for key, value in event.items() if key != member})


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_property_of_a_data_class_finds_its_member_or_is_known_to_be_absent(name):
    seen, missed = set(), set()
    read(CLASSES[name](event_of(name)), seen, missed)

    assert seen
    assert missed == ABSENT.get(name, set())


def read(thing, seen, missed):
    """Read every property of a data class and of those that it leads to, but what SQS bodies are only guessed to be."""
    if isinstance(thing, list | tuple) or inspect.isgenerator(thing):
        for element in thing:
            read(element, seen, missed)
    elif isinstance(thing, DictWrapper):
        for name, _ in inspect.getmembers(type(thing), lambda member: isinstance(member, property)):
            if name == "raw_event" or name.startswith("decoded_nested"):
                continue
            try:
                value = getattr(thing, name)
            except KeyError as missing:
                missed.add(missing.args[0])
            else:
                seen.add(name)
                read(value, seen, missed)


def test_what_is_packed_is_the_order():
    order = json.loads(json.dumps(an_order()))
    kinesis = models.KinesisDataStreamModel.model_validate(event_of("kinesis:put"))
    firehose = models.KinesisFirehoseModel.model_validate(event_of("firehose:transform"))
    kafka = data_classes.KafkaEvent(event_of("kafka:msk"))

    assert json.loads(kinesis.Records[0].kinesis.data) == order
    assert json.loads(firehose.records[0].data) == order
    assert kafka.record.json_value == order
    assert kafka.record.decoded_headers == {"kind": b"order.placed"}
    assert json.loads(event_of("sqs:send")["Records"][0]["body"]) == order
    assert json.loads(base64.b64decode(event_of("mq:active")["messages"][0]["data"])) == order


def test_lines_of_a_log_are_unpacked():
    told = data_classes.CloudWatchLogsEvent(event_of("logs:data")).parse_logs_data()

    assert [line.message for line in told.log_events] == ["[ERROR] order-7 was refused", "[ERROR] order-8 was refused"]
