"""A template on a real node: what it declares is there, and its functions run as it says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from eventrouter.project.api import HttpApi
from eventrouter.project.converge import apply, plan
from eventrouter.project.template import read_template
from tests.e2e.accounts import RUNTIME, Account, Queue

TEMPLATE = f"""\
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: {RUNTIME}
    Timeout: 10
    Environment: {{Variables: {{DONE: !Ref Done}}}}
Resources:
  Copies:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      InlineCode: |
        import os, boto3
        def handler(event, context):
            for record in event["Records"]:
                boto3.client("sqs").send_message(QueueUrl=os.environ["DONE"], MessageBody=record["body"] + " copied")
      Events:
        In: {{Type: SQS, Properties: {{Queue: !GetAtt Incoming.Arn, BatchSize: 1}}}}
  Answers:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: answers
      Handler: app.handler
      CodeUri: src
      EventInvokeConfig:
        MaximumRetryAttempts: 0
        DestinationConfig: {{OnSuccess: {{Type: SQS, Destination: !GetAtt Done.Arn}}}}
  Incoming: {{Type: "AWS::SQS::Queue"}}
  Done: {{Type: "AWS::SQS::Queue"}}
"""


def test_a_template_is_deployed_and_its_functions_run_as_it_says(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(event, context):\n    return {'seen': event}\n")
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    project = read_template(path, account=account.id, name="shop")

    async def deploy() -> list[object]:
        api = HttpApi(account.url, account=account.id)
        try:
            await apply(await plan(project, api))
            return list((await plan(project, api)).due)
        finally:
            api.close()

    assert asyncio.run(deploy()) == []
    incoming, done = [account.sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in ("shop-Incoming", "shop-Done")]
    results = Queue(account.sqs, done, "shop-Done")

    account.sqs.send_message(QueueUrl=incoming, MessageBody="a parcel")
    assert results.receive()["Body"] == "a parcel copied"

    account.send("answers", {"n": 1})
    assert json.loads(results.receive()["Body"])["responsePayload"] == {"seen": {"n": 1}}
