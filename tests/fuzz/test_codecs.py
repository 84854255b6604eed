"""The same grammar against the codecs alone, where hypothesis can make a failure small.

A request is read, or refused with a RequestError; whatever is read passes the checks, or is refused by them.
"""

from __future__ import annotations

from random import Random

import httptools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventrouter.api.applied import served_apis
from eventrouter.api.http import Request
from eventrouter.api.protocol.aws_json import AwsCbor, AwsJson
from eventrouter.api.protocol.codec import Codec
from eventrouter.api.protocol.constraints import check_input
from eventrouter.api.protocol.models import service_model
from eventrouter.api.protocol.query import QueryXml
from eventrouter.api.protocol.rest_json import PathRouter, RestJson
from eventrouter.errors import RequestError
from tests.fuzz.grammar import Grammar, Known
from tests.fuzz.size import REQUESTS
from tests.fuzz.wire import Calls, Sent

pytestmark = pytest.mark.property

OPERATIONS = [(api.service, operation) for api in served_apis() for operation in sorted(api.members)]
PATHS = PathRouter(service_model(name) for name in ("lambda", "apigatewayv2"))


class Opened:
    """A request, as the server hands it over."""

    def __init__(self, sent: Sent) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = b""
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(sent.data)
        url = httptools.parse_url(self._url)
        self.request = Request(
            method=parser.get_method().decode(),
            path=url.path.decode("latin-1"),
            query=url.query or b"",
            headers=self._headers,
            body=self._body,
        )

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body += body


def codec_of(sent: Sent) -> Codec:
    protocol = sent.label.split()[1]
    codecs: dict[str, Codec] = {"rest-json": RestJson(), "json": AwsJson(), "cbor": AwsCbor()}
    return codecs.get(protocol) or QueryXml("an-id")


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
@settings(
    max_examples=max(5, REQUESTS // 1_250),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
)
@given(random=st.randoms(use_true_random=False), spite=st.sampled_from([0.0, 0.05, 0.3]))
def test_every_input_is_read_or_refused(service: str, operation: str, random: Random, spite: float) -> None:
    sent = Calls(Grammar(random, Known(), spite=spite)).call(service, operation)
    try:
        request = Opened(sent).request
    except httptools.HttpParserError:
        return  # refused before it comes this far
    model = service_model(service).operation(operation)
    route = PATHS.find(request.method, request.path, request.query)

    try:
        check_input(model, codec_of(sent).parse(model, request, {} if route is None else route.labels))
    except RequestError as refusal:
        codec_of(sent).error(service_model(service), refusal, "an-id")
