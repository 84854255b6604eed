"""Filter patterns of CloudWatch Logs."""

from __future__ import annotations

import json

import pytest

from eventrouter_adapters.logs.patterns import parse_pattern

pytestmark = pytest.mark.unit

DOCUMENT = json.dumps(
    {
        "level": "error",
        "ms": 120.5,
        "user": {"id": 7, "name": "Ann Lee", "tags": ["a", "b"]},
        "ok": True,
        "none": None,
        "a-b": "x.y",
        "text": 'say "hi"',
    }
)


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("  ", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR 42", "42 times ERROR", True),
        ("ERROR 42", "ERROR only", False),
        ('"out of memory"', "killed: out of memory", True),
        ('"out of memory"', "memory out of reach", False),
        ("ERROR -timeout", "ERROR: disk", True),
        ("ERROR -timeout", "ERROR: timeout", False),
        ('-"Task timed"', "fine", True),
        ("?WARN ?ERROR", "a WARN", True),
        ("?WARN ?ERROR", "an INFO", False),
        ("INFO ?ERROR", "INFO alone", True),
        ("INFO ?ERROR", "ERROR alone", False),
        (r'"quoted \"word\""', 'a quoted "word"', True),
        ("REPORT RequestId:", "REPORT RequestId: 8f50", True),
        ("a-b", "a-b", True),
    ],
)
def test_terms_match_messages(pattern: str, message: str, matches: bool) -> None:
    assert parse_pattern(pattern)(message) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.level = "error" }', True),
        ('{ $.level = "err*" }', True),
        ("{ $.level = *or }", True),
        ('{ $.level = "warn" }', False),
        ('{ $.level != "warn" }', True),
        ('{ $.missing != "warn" }', False),
        ("{ $.ms > 120 }", True),
        ("{$.ms>=120.5}", True),
        ("{ $.ms < 1.2e2 }", False),
        ("{ $.ms = 120.5 }", True),
        ('{ $.ms = "120.5" }', False),
        ("{ $.level > 3 }", False),
        ("{ $.user.id = 7 }", True),
        ("{ $.user.id != 7 }", False),
        ('{ $.user.name = "Ann Lee" }', True),
        ('{ $.user.tags[1] = "b" }', True),
        ('{ $.user.tags[5] = "b" }', False),
        ('{ $.user["name"] = "Ann*" }', True),
        ("{ $.ok IS TRUE }", True),
        ("{ $.ok = true }", True),
        ("{ $.ok is false }", False),
        ("{ $.none IS NULL }", True),
        ("{ $.missing IS NULL }", False),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.none NOT EXISTS }", False),
        ("{ $.a-b = x.y }", True),
        (r'{ $.text = "say \"hi\"" }', True),
        ('{ $.level = "error" && $.ms > 200 }', False),
        ('{ $.level = "error" || $.ms > 200 }', True),
        ('{ $.level = "x" && $.ms > 1 || $.ok IS TRUE }', True),
        ('{ $.level = "x" && ($.ms > 1 || $.ok IS TRUE) }', False),
        ('{ ($.level = "error") && (($.ms > 1)) }', True),
        ("{ $.user = 7 }", False),
    ],
)
def test_json_conditions_match_documents(pattern: str, matches: bool) -> None:
    assert parse_pattern(pattern)(DOCUMENT) is matches


@pytest.mark.parametrize(
    ("wildcard", "text", "matches"),
    [
        ("*", "", True),
        ("**", "a", True),
        ("a*", "a", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*ab*ba*", "aba", False),
        ("*ab*ba*", "abba", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*.log", "x\\ny.log", True),
        ("a.c", "abc", False),
    ],
)
def test_a_star_stands_for_anything(wildcard: str, text: str, matches: bool) -> None:
    assert parse_pattern(f'{{ $.a = "{wildcard}" }}')(f'{{"a": "{text}"}}') is matches


@pytest.mark.parametrize("message", ["plain text", '"level"', "", "{broken", "7"])
def test_json_conditions_match_only_documents(message: str) -> None:
    assert not parse_pattern("{ $.level NOT EXISTS }")(message)


@pytest.mark.parametrize(
    "pattern",
    [
        "%ERR[0-9]%",
        "[ip, user, status=5*]",
        '"open',
        "a ? b",
        "{ $.a = 1",
        "{ a = 1 }",
        "{ $.a }",
        "{ }",
        "{ $.a = }",
        "{ $.a > x }",
        "{ $.a = 1 & $.b = 2 }",
        "{ ($.a = 1 }",
        "{ $.a = 1) }",
        "{ $.a[*] = 1 }",
        "{ $.a = %x% }",
        "{ $.a = 1 $.b = 2 }",
    ],
)
def test_what_is_not_served_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_pattern(pattern)
