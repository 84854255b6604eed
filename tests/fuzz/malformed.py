"""What is no sound HTTP, as bytes: each for a connection of its own."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from random import Random

from eventrouter.api.protocol.models import service_model
from tests.fuzz.wire import signed

_HOST = b"Host: 127.0.0.1\r\n"
_INVOKE = b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\n" + _HOST
_LIST = b"GET /2015-03-31/functions HTTP/1.1\r\n" + _HOST
_QUERY = b"POST / HTTP/1.1\r\n" + _HOST + b"Content-Type: application/x-www-form-urlencoded\r\n"
_SQS = (
    b"POST / HTTP/1.1\r\n" + _HOST + b"X-Amz-Target: AmazonSQS.ListQueues\r\nAuthorization: "
    + signed(service_model("sqs"))["authorization"].encode() + b"\r\n"
)  # fmt: skip
_WEB = b"GET /_aws/execute-api/nothing/x HTTP/1.1\r\n" + _HOST


def _chunked(*chunks: bytes) -> bytes:
    return _INVOKE + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def _encoded(head: bytes, coding: bytes, body: bytes) -> bytes:
    return head + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)) + body


CORPUS: dict[str, bytes] = {
    # request lines
    "nothing": b"",
    "a line feed": b"\n",
    "blank lines": b"\r\n" * 500,
    "NUL bytes": b"\0" * 200,
    "no version": b"GET /\r\n\r\n",
    "a version of the future": b"GET / HTTP/9.9\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "a method nobody knows": b"BREW / HTTP/1.1\r\n\r\n",
    "a method of bytes": b"\xff\xfe / HTTP/1.1\r\n\r\n",
    "a long method": b"G" * 10_000 + b" / HTTP/1.1\r\n\r\n",
    "a proxy's target": b"GET http://example.com/ HTTP/1.1\r\n" + _HOST + b"\r\n",
    "CONNECT": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + _HOST + b"\r\n",
    "no slash": b"GET health HTTP/1.1\r\n\r\n",
    "a fragment": b"GET /health#a HTTP/1.1\r\n" + _HOST + b"\r\n",
    "bytes in the target": b"GET /\xff\xfe\x80?\xff=\xff HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a bad escape": b"GET /%zz%2 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a NUL in the target": b"GET /\0 HTTP/1.1\r\n\r\n",
    "spaces in the target": b"GET / a b HTTP/1.1\r\n\r\n",
    "a long target": b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a target over the limit": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a long query": b"GET /health?" + b"a=b&" * 15_000 + b" HTTP/1.1\r\n" + _HOST + b"\r\n",
    # headers
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a header without a colon": b"GET /health HTTP/1.1\r\nHost\r\n\r\n",
    "a header without a name": b"GET /health HTTP/1.1\r\n: x\r\n\r\n",
    "a space before the colon": b"GET /health HTTP/1.1\r\nHost : a\r\n\r\n",
    "a folded header": b"GET /health HTTP/1.1\r\nX-A: a\r\n b\r\n\r\n",
    "a NUL in a header": b"GET /health HTTP/1.1\r\nX-A: a\0b\r\n\r\n",
    "a carriage return in a header": b"GET /health HTTP/1.1\r\nX-A: a\rb\r\n\r\n",
    "line feeds alone": b"GET /health HTTP/1.1\nHost: a\n\n",
    "bytes in a header": _LIST + b"X-A: \xff\xfe\x80\r\nAuthorization: \xff\r\n\r\n",
    "a thousand headers": _LIST + b"".join(b"X-%d: a\r\n" % at for at in range(1_000)) + b"\r\n",
    "the same header often": _LIST + b"Authorization: a\r\n" * 2_000 + b"\r\n",
    "headers over the limit": _LIST + b"".join(b"X-%d: %s\r\n" % (at, b"a" * 900) for at in range(200)) + b"\r\n",
    "a header over the limit": _LIST + b"X-A: " + b"a" * 300_000 + b"\r\n\r\n",
    "a connection of many words": _LIST + b"Connection: " + b"close, keep-alive, " * 300 + b"\r\n\r\n",
    "an upgrade": b"GET / HTTP/1.1\r\n" + _HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "an upgrade to h2c": _LIST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n",
    "an expectation": _INVOKE + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "an expectation nobody knows": _INVOKE + b"Expect: the-unexpected\r\nContent-Length: 2\r\n\r\n{}",
    # lengths
    "a length of words": _INVOKE + b"Content-Length: many\r\n\r\n",
    "a negative length": _INVOKE + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": _INVOKE + b"Content-Length: +2\r\n\r\n{}",
    "a length beyond everything": _INVOKE + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}",
    "the longest length": _INVOKE + b"Content-Length: 18446744073709551615\r\n\r\n{}",
    "a length of other digits": _INVOKE + "Content-Length: \u0662\r\n\r\n{}".encode(),
    "two lengths": _INVOKE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two lengths in one": _INVOKE + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length and chunks": _INVOKE + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an empty length": _INVOKE + b"Content-Length: \r\n\r\n{}",
    "a body where none belongs": _LIST + b"Content-Length: 3\r\n\r\nabc",
    "a body without a length": _INVOKE + b"\r\n{}",
    "more than was said": _INVOKE + b"Content-Length: 2\r\n\r\n{}" + b"{}" * 500,
    "a declared giant": _INVOKE + b"Content-Length: 99999999999\r\n\r\n{",
    "a declared giant of another door": _SQS + b"Content-Length: 99999999999\r\n\r\n{",
    "a declared giant at the web door": _WEB + b"Content-Length: 99999999999\r\n\r\n{",
    # chunks
    "chunks": _chunked(b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks of one": _chunked(*([b"1\r\n1\r\n"] * 3_000), b"0\r\n\r\n"),
    "a chunk of letters": _chunked(b"zz\r\n{}\r\n0\r\n\r\n"),
    "a negative chunk": _chunked(b"-2\r\n{}\r\n0\r\n\r\n"),
    "a chunk beyond everything": _chunked(b"ffffffffffffffffffff\r\n{}\r\n"),
    "the longest chunk": _chunked(b"ffffffffffffffff\r\n{}\r\n"),
    "a chunk that is longer": _chunked(b"2\r\n{}{}{}\r\n0\r\n\r\n"),
    "a chunk's extension": _chunked(b"2;a=b\r\n{}\r\n0\r\n\r\n"),
    "a long extension": _chunked(b"2;" + b"a" * 300_000 + b"\r\n{}\r\n0\r\n\r\n"),
    "a trailer": _chunked(b"2\r\n{}\r\n0\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n\r\n"),
    "endless trailers": _chunked(b"2\r\n{}\r\n0\r\n", *([b"X-A: " + b"a" * 900 + b"\r\n"] * 400)),
    "chunked twice": _INVOKE + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a coding nobody knows": _INVOKE + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "identity": _INVOKE + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    "chunks in HTTP/1.0": _chunked(b"2\r\n{}\r\n0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    # bodies
    "gzip": _encoded(_SQS, b"gzip", gzip.compress(b"{}")),
    "a bomb of gzip": _encoded(_SQS, b"gzip", gzip.compress(bytes(32 << 20))),
    "a broken deflate": _encoded(_INVOKE, b"deflate", zlib.compress(b"{}")[:-3]),
    "arrays in arrays": _SQS + b"Content-Length: 1000000\r\n\r\n" + b"[" * 1_000_000,
    "objects in objects": _SQS + b"Content-Length: 1000000\r\n\r\n" + b'{"a":' * 200_000,
    "a number without end": _SQS + b"Content-Length: 1000000\r\n\r\n" + b'{"MaxResults":' + b"9" * 999_985 + b"}",
    "an event without end": _INVOKE + b"Content-Length: 1000000\r\n\r\n" + b"9" * 1_000_000,
    "an event of arrays": _INVOKE + b"Content-Length: 1000000\r\n\r\n" + b"[" * 500_000 + b"]" * 500_000,
    "many fields": _QUERY + b"Content-Length: 1000000\r\n\r\n" + b"a=&" * 333_333 + b"a",
    "deep fields": _QUERY + b"Content-Length: 100017\r\n\r\nAction=ListQueues" + b"&" + b"a." * 50_000,
    "many numbers": _QUERY + b"Content-Length: 100020\r\n\r\nAction=TagQueue&" + b"Tag.1.Key=ab" * 8_333 + b"abcdefgh",
    # several requests
    "a pipeline": (_LIST + b"\r\n") * 200,
    "a pipeline of other doors": (_LIST + b"\r\n" + _SQS + b"Content-Length: 2\r\n\r\n{}" + _WEB + b"\r\n") * 60,
    "a pipeline that goes bad": (_LIST + b"\r\n") * 20 + b"\0\0\0",
    "a smuggled request": _SQS + b"Content-Length: 2\r\n\r\n{}GET /_eventrouter/reset HTTP/1.1\r\n\r\n",
}  # fmt: skip
"""By what is wrong with it."""


def mutations(random: Random, count: int) -> Iterator[bytes]:
    """Yield requests of the corpus with bytes changed, cut, doubled and moved."""
    seeds = [data for data in CORPUS.values() if 0 < len(data) < 5_000]
    for _ in range(count):
        data = bytearray(random.choice(seeds))
        for _ in range(random.randint(1, 6)):
            at = random.randrange(len(data) + 1)
            match random.randrange(6):
                case 0:
                    data[at : at + 1] = random.randbytes(1)
                case 1:
                    del data[at : at + random.randint(1, 20)]
                case 2:
                    data[at:at] = random.choice((b"\r\n", b"\n", b"\0", b" ", b":", b"\xff", b"\r\n\r\n", b"\t", b"%"))
                case 3:
                    data[at:at] = data[at : at + 40]
                case 4:
                    data[at:at] = random.choice(seeds)[:100]
                case _:
                    data[at:at] = b"Content-Length: 5\r\n"
        yield bytes(data)
