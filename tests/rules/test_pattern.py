"""The pattern language: lambda-semantics §6.4 and §4.10, and §11 rows 36, 47, 48."""

from __future__ import annotations

import contextlib
import itertools
import json
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from eventrouter.rules.pattern import ALTERNATIVES_LIMIT, DEPTH_LIMIT, Filters, PatternError, compile_pattern
from eventrouter.rules.wildcard import TOO_COMPLEX, compile_wildcard

ABSENT = object()


def matches(pattern: object, event: object) -> bool:
    return compile_pattern(json.dumps(pattern)).matches(event)


def reason(pattern: object) -> str:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern if isinstance(pattern, str | bytes) else json.dumps(pattern))
    return str(caught.value)


LEAVES = [
    # exact
    (["a"], "a", True),
    (["a"], "A", False),
    (["a"], " a", False),
    (["🍕"], "🍕", True),
    ([""], "", True),
    ([""], "x", False),
    (["a", "b"], "b", True),
    (["a", 1, None], 1, True),
    ([300], 300.0, True),
    ([300.0], 300, True),
    ([3e2], 300, True),
    ([300], "300", False),
    (["300"], 300, False),
    ([9007199254740993], 9007199254740993, True),
    ([9007199254740993], 9007199254740992, False),
    ([10**400], 10**400, True),
    ([True], True, True),
    ([True], 1, False),
    ([1], True, False),
    ([0, "x"], False, False),
    ([False], False, True),
    ([False], 0, False),
    ([True], "true", False),
    ([None], None, True),
    ([None], "null", False),
    ([None], ABSENT, False),
    ([None], [], False),
    (["a"], ABSENT, False),
    (["a"], {"a": "a"}, False),
    (["a"], ["b", "a"], True),
    (["a"], [["b", ["a"]]], True),
    (["a"], [], False),
    (["a"], [{"x": "a"}], False),
    # prefix and suffix
    ([{"prefix": "ab"}], "abc", True),
    ([{"prefix": "ab"}], "Abc", False),
    ([{"prefix": ""}], "anything", True),
    ([{"prefix": ""}], "", True),
    ([{"prefix": ""}], 1, False),
    ([{"prefix": "1"}], 1, False),
    ([{"prefix": "n"}], None, False),
    ([{"prefix": ""}], ABSENT, False),
    ([{"prefix": {"equals-ignore-case": "AB"}}], "abc", True),
    ([{"prefix": {"equals-ignore-case": "AB"}}], "xabc", False),
    ([{"suffix": ".png"}], "a.png", True),
    ([{"suffix": ".png"}], "a.PNG", False),
    ([{"suffix": ""}], "x", True),
    ([{"suffix": ".png"}], 1, False),
    ([{"suffix": {"equals-ignore-case": ".png"}}], "a.PNG", True),
    ([{"suffix": {"equals-ignore-case": ".png"}}], "a.jpg", False),
    # equals-ignore-case
    ([{"equals-ignore-case": "ALice"}], "alicE", True),
    ([{"equals-ignore-case": "alice"}], "alic", False),
    ([{"equals-ignore-case": ""}], "", True),
    ([{"equals-ignore-case": ""}], "x", False),
    ([{"equals-ignore-case": "1"}], 1, False),
    # anything-but: §11 row 47
    ([{"anything-but": "a"}], "b", True),
    ([{"anything-but": "a"}], "a", False),
    ([{"anything-but": "a"}], ABSENT, False),
    ([{"anything-but": "a"}], None, True),
    ([{"anything-but": "a"}], 1, True),
    ([{"anything-but": "a"}], [], False),
    ([{"anything-but": "a"}], {"x": 1}, False),
    ([{"anything-but": "a"}], ["a"], False),
    ([{"anything-but": "a"}], ["a", "b"], True),
    ([{"anything-but": ["a", "b"]}], "b", False),
    ([{"anything-but": ["a", "b"]}], "c", True),
    ([{"anything-but": 300}], 300.0, False),
    ([{"anything-but": 300}], 301, True),
    ([{"anything-but": 0}], False, True),
    ([{"anything-but": [1, 2]}], 2, False),
    ([{"anything-but": [1, 2]}], "2", True),
    ([{"anything-but": {"prefix": "a"}}], "abc", False),
    ([{"anything-but": {"prefix": "a"}}], "b", True),
    ([{"anything-but": {"prefix": "1"}}], 1, True),
    ([{"anything-but": {"prefix": "a"}}], None, True),
    ([{"anything-but": {"prefix": "a"}}], ABSENT, False),
    ([{"anything-but": {"prefix": ["a", "b"]}}], "bc", False),
    ([{"anything-but": {"suffix": ".png"}}], "a.png", False),
    ([{"anything-but": {"suffix": [".png", ".jpg"]}}], "a.gif", True),
    ([{"anything-but": {"equals-ignore-case": "A"}}], "a", False),
    ([{"anything-but": {"equals-ignore-case": ["A", "B"]}}], "b", False),
    ([{"anything-but": {"equals-ignore-case": ["A", "B"]}}], "c", True),
    ([{"anything-but": {"wildcard": "*/a/*"}}], "x/a/y", False),
    ([{"anything-but": {"wildcard": ["*/a/*", "b*"]}}], "bx", False),
    ([{"anything-but": {"wildcard": "*/a/*"}}], 7, True),
    # numeric: §11 row 48
    ([{"numeric": [">", 0, "<=", 5]}], 5, True),
    ([{"numeric": [">", 0, "<=", 5]}], 0, False),
    ([{"numeric": ["<=", 5, ">", 0]}], 5.0, True),
    ([{"numeric": ["=", 300]}], 300.0, True),
    ([{"numeric": ["=", 300]}], "300", False),
    ([{"numeric": ["<", 10]}], 9.99, True),
    ([{"numeric": [">=", 10]}], None, False),
    ([{"numeric": [">=", 0]}], True, False),
    ([{"numeric": [">=", 0]}], [-1, 1], True),
    ([{"numeric": [">=", 0]}], ABSENT, False),
    ([{"numeric": [">", 4999999999.5]}], 10**40, True),
    # exists
    ([{"exists": True}], "x", True),
    ([{"exists": True}], None, True),
    ([{"exists": True}], {"x": 1}, False),
    ([{"exists": True}], [], False),
    ([{"exists": True}], ["x"], True),
    ([{"exists": True}], ABSENT, False),
    ([{"exists": False}], ABSENT, True),
    ([{"exists": False}], None, False),
    ([{"exists": False}], "x", False),
    ([{"exists": False}], [], True),
    # cidr
    ([{"cidr": "10.0.0.0/24"}], "10.0.0.255", True),
    ([{"cidr": "10.0.0.0/24"}], "10.0.1.0", False),
    ([{"cidr": "10.0.0.7/24"}], "10.0.0.1", True),
    ([{"cidr": "0.0.0.0/0"}], "::1", False),
    ([{"cidr": "2001:db8::/32"}], "2001:db8::7", True),
    ([{"cidr": "2001:db8::/32"}], "2001:db9::7", False),
    ([{"cidr": "10.0.0.0/24"}], "no address", False),
    ([{"cidr": "10.0.0.0/24"}], 167772160, False),
    # wildcard
    ([{"wildcard": "/Users/*/doc.txt"}], "/Users/a/b/doc.txt", True),
    ([{"wildcard": "/Users/*/doc.txt"}], "/Users/doc.txt", False),
    ([{"wildcard": "*"}], "", True),
    ([{"wildcard": "*"}], 1, False),
    ([{"wildcard": ""}], "", False),
    ([{"wildcard": "a"}], "a", True),
    ([{"wildcard": "a"}], "ab", False),
    ([{"wildcard": "a*a"}], "a", False),
    ([{"wildcard": "*a*b*"}], "xxaxxbxx", True),
    ([{"wildcard": "*a*b*"}], "ba", False),
    ([{"wildcard": "a\\*b"}], "a*b", True),
    ([{"wildcard": "a\\*b"}], "axb", False),
    ([{"wildcard": "a\\\\*"}], "a\\b", True),
    # several in one list
    ([{"anything-but": ["roses"]}, {"exists": False}], ABSENT, True),
    ([{"anything-but": ["roses"]}, {"exists": False}], "tulips", True),
    ([{"anything-but": ["roses"]}, {"exists": False}], "roses", False),
    ([{"exists": True}, {"prefix": "x"}], 1, True),
    ([{"prefix": "a"}, 5, {"suffix": "z"}], "buzz", True),
]


@pytest.mark.unit
@pytest.mark.parametrize(("leaf", "value", "expected"), LEAVES)
def test_a_leaf_is_a_list_of_alternatives(leaf, value, expected):
    event = {"other": 1} if value is ABSENT else {"k": value, "other": 1}

    assert matches({"k": leaf}, event) is expected
    assert matches({"detail": {"k": leaf}}, {"detail": event}) is expected
    assert compile_pattern(json.dumps({"k": leaf})).explain(event)[0].is_match is expected


OBJECTS = [
    ({"a": ["x"], "b": ["y"]}, {"a": "x", "b": "y", "c": 1}, True),
    ({"a": ["x"], "b": ["y"]}, {"a": "x", "b": "z"}, False),
    ({"a": {"b": ["x"]}}, {"a": {"b": "x"}}, True),
    ({"a": {"b": ["x"]}}, {"a": "x"}, False),
    ({"a": {"b": ["x"]}}, {}, False),
    # exists, and missing parents
    ({"a": {"b": [{"exists": False}]}}, {}, True),
    ({"a": {"b": [{"exists": False}]}}, {"a": None}, True),
    ({"a": {"b": [{"exists": False}]}}, {"a": {"b": {"c": 1}}}, True),
    ({"a": {"b": [{"exists": False}]}}, {"a": {"b": 1}}, False),
    ({"a": {"b": [{"exists": True}]}}, {"a": [{}, {"b": 1}]}, True),
    ({"a": {"b": [{"exists": False}]}}, {"a": [{}, {"b": 1}]}, False),
    ({"a": {"b": [{"exists": False}]}}, {"a": [{}, {"c": 1}]}, True),
    ({"a": {"b": [{"exists": False}]}}, {"a": []}, True),
    # arrays of objects: the same element must satisfy all that is asked of it
    ({"i": {"a": [1], "b": [2]}}, {"i": [{"a": 1, "b": 2}, {"a": 3}]}, True),
    ({"i": {"a": [1], "b": [2]}}, {"i": [{"a": 1, "b": 3}, {"a": 3, "b": 2}]}, False),
    ({"i.a": [1], "i": {"b": [2]}}, {"i": [{"a": 1}, {"b": 2}]}, False),
    ({"i": {"a": [1], "b": [2]}}, {"i": [[{"a": 1, "b": 2}]]}, True),
    ({"i": {"a": {"x": [1]}, "b": [2]}}, {"i": [{"a": [{"x": 0}, {"x": 1}], "b": 2}]}, True),
    ({"i": {"a": [1]}, "j": {"b": [2]}}, {"i": [{"a": 1}], "j": [{"b": 2}]}, True),
    ({"i": {"a": [1], "b": [{"exists": False}]}}, {"i": [{"a": 1}, {"b": 2}]}, True),
    ({"i": {"a": [1], "b": [{"exists": False}]}}, {"i": [{"a": 1, "b": 2}, {"a": 3}]}, False),
    ({"i": {"a": [{"anything-but": "x"}, {"exists": False}]}}, {"i": [{"a": "x"}, {}]}, False),
    ({"i": {"a": [1]}, "$or": [{"i": {"b": [2]}}, {"c": [3]}]}, {"i": [{"a": 1}, {"b": 2}]}, False),
    # $or
    ({"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, True),
    ({"$or": [{"a": [1]}, {"b": [2]}]}, {"a": 2, "b": 1}, False),
    ({"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, False),
    ({"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2, "c": 3}, True),
    ({"d": {"$or": [{"a": [1]}, {"b": [2], "c": [3]}]}}, {"d": {"b": 2}}, False),
    ({"d": {"$or": [{"a": [1]}, {"b": [2], "c": [3]}]}}, {"d": {"b": 2, "c": 3}}, True),
    ({"$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"c": [3]}]}]}, {"c": 3}, True),
    ({"$or": [{"a": [1], "b": [2]}, {"a": [2]}]}, {"a": 2}, True),
    ({"$or": ["x", "y"]}, {"$or": "x"}, True),
    ({"$or": [{"prefix": "x"}, {"prefix": "y"}]}, {"$or": "yes"}, True),
    # dotted keys
    ({"state.status": ["up"]}, {"state": {"status": "up"}}, True),
    ({"state.status": ["up"]}, {"state.status": "up"}, True),
    ({"state": {"status": ["up"]}}, {"state.status": "up"}, True),
    ({"state": {"status": ["up"]}}, {"state.status": ["down", "up"]}, True),
    ({"state": {"status": ["up"]}}, {"state.status": "up", "state": {"status": "down"}}, True),
    ({"state": {"status": ["up"], "code": [1]}}, {"state.status": "up", "state": {"code": 1}}, True),
    ({"state": {"status": ["up"], "code": [1]}}, {"state.status": "up", "state": [{"code": 1}]}, True),
    ({"state": {"status": ["up"]}}, {"state.status": "up", "state": "x"}, True),
    ({"d": {"state": {"status": ["up"]}}}, {"d": {"state.status": "up"}}, True),
    ({"d": {"state": {"status": ["up"]}}}, {"d.state.status": "up"}, True),
    ({"d": {"state": {"status": [{"exists": False}]}}}, {"d.state.status": "up"}, False),
    ({"d": {"state": {"status": ["up"]}}}, {"d.state": {"status": "up"}}, False),
    ({"d.state": {"status": ["up"]}}, {"d": {"state": {"status": "up"}}}, False),
    ({"d.state.status": ["up"]}, {"d.state": {"status": "up"}}, False),
    # a string that holds JSON is a string
    ({"detail": {"a": [1]}}, {"detail": '{"a": 1}'}, False),
]


@pytest.mark.unit
@pytest.mark.parametrize(("pattern", "event", "expected"), OBJECTS)
def test_keys_are_joined_by_and(pattern, event, expected):
    assert matches(pattern, event) is expected


@pytest.mark.unit
def test_dynamodb_numbers_are_strings_and_exists_asks_for_leaves():
    image = {"dynamodb": {"NewImage": {"n": {"N": "101"}}, "ApproximateCreationDateTime": 1664559083.0}}

    def image_of(leaf):
        return {"dynamodb": {"NewImage": {"n": leaf}}}

    assert not matches(image_of({"N": [{"numeric": [">", 100]}]}), image)
    assert matches(image_of({"N": ["101"]}), image)
    assert matches(image_of({"N": [{"exists": True}]}), image)
    assert not matches(image_of([{"exists": True}]), image)
    assert matches({"dynamodb": {"NewImage": {"gone": [{"exists": False}]}}}, image)
    assert matches({"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 1664559082]}]}}, image)


@pytest.mark.unit
def test_of_duplicate_keys_the_last_one_wins():
    pattern = compile_pattern('{"a": ["x"], "a": ["y"]}')

    assert pattern.matches({"a": "y"})
    assert not pattern.matches({"a": "x"})


@pytest.mark.unit
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"string": "x"}, '"string" must be an object or an array'),
        ({"a": {"n": 1}}, '"n" must be an object or an array'),
        ({"a": None}, '"a" must be an object or an array'),
        ({"a": []}, "Empty arrays are not allowed"),
        ({"a": {}}, "Empty objects are not allowed"),
        ({}, "Empty objects are not allowed"),
        ({"a": [["x"]]}, "Match value must be String, number, true, false, or null"),
        ({"a": [{}]}, "Match expression name not found"),
        ({"a": [{"prefix": "x", "suffix": "y"}]}, "Only one key allowed in match expression"),
        ({"a": [{"EXISTS": True}]}, "Unrecognized match type EXISTS"),
        ({"$or": [{"a": [1]}]}, "Unrecognized match type a"),
        ({"$or": {"a": 1}}, '"a" must be an object or an array'),
        ({"a": [{"exists": "yes"}]}, "exists match pattern must be either true or false."),
        ({"a": [{"exists": 0}]}, "exists match pattern must be either true or false."),
        ({"a": [{"prefix": 1}]}, "prefix match pattern must be a string"),
        ({"a": [{"prefix": ["x"]}]}, "prefix match pattern must be a string"),
        ({"a": [{"prefix": {"equals-ignore-case": 1}}]}, "equals-ignore-case match pattern must be a string"),
        ({"a": [{"suffix": None}]}, "suffix match pattern must be a string"),
        ({"a": [{"suffix": {"prefix": "x"}}]}, "suffix match pattern must be a string"),
        ({"a": [{"equals-ignore-case": ["x"]}]}, "equals-ignore-case match pattern must be a string"),
        ({"a": [{"wildcard": 1}]}, "wildcard match pattern must be a string"),
        ({"a": [{"wildcard": ["x"]}]}, "wildcard match pattern must be a string"),
        ({"a": [{"wildcard": "12345678901234567890abcde**"}]}, "Consecutive wildcard characters at pos 26"),
        ({"a": [{"wildcard": "a\\b"}]}, "Invalid escape character at pos 2"),
        ({"a": [{"wildcard": "*a" * 30}]}, TOO_COMPLEX),
        ({"a": [{"wildcard": "*" + "ab" * 60}]}, TOO_COMPLEX),
        ({"a": [{"anything-but": {"prefix": 1}}]}, "prefix/suffix match pattern must be a string"),
        (
            {"a": [{"anything-but": {"suffix": {"equals-ignore-case": "x"}}}]},
            "prefix/suffix match pattern must be a string",
        ),
        ({"a": [{"anything-but": {"prefix": ""}}]}, "Null prefix/suffix not allowed"),
        ({"a": [{"anything-but": {"suffix": ["x", ""]}}]}, "Null prefix/suffix not allowed"),
        ({"a": [{"anything-but": {"numeric": ["=", 1]}}]}, "Unsupported anything-but pattern: numeric"),
        ({"a": [{"anything-but": {"wildcard": 1}}]}, "wildcard match pattern must be a string"),
        ({"a": [{"anything-but": {}}]}, "Anything-But expression name not found"),
        (
            {"a": [{"anything-but": None}]},
            "Value of anything-but must be an array or single string/number value.",
        ),
        (
            {"a": [{"anything-but": True}]},
            "Value of anything-but must be an array or single string/number value.",
        ),
        ({"a": [{"anything-but": []}]}, "Empty arrays are not allowed"),
        (
            {"a": [{"anything-but": ["x", None]}]},
            "Inside anything but list, start|null|boolean is not supported.",
        ),
        (
            {"a": [{"anything-but": ["x", 1]}]},
            "Inside anything but list, either all values are number or string, mixed type is not supported",
        ),
        (
            {"a": [{"anything-but": {"equals-ignore-case": ["x", 1]}}]},
            "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
        ),
        ({"a": [{"numeric": 1}]}, "Value of numeric must be an array."),
        ({"a": [{"numeric": ["<", "5"]}]}, "Value of < must be numeric"),
        ({"a": [{"numeric": ["<", True]}]}, "Value of < must be numeric"),
        ({"a": [{"numeric": ["<"]}]}, "Value of < must be numeric"),
        ({"a": [{"numeric": ["=", "5"]}]}, "Value of equals must be numeric"),
        ({"a": [{"numeric": [">", 0, ">", 5]}]}, "Bad numeric range operator: >"),
        ({"a": [{"numeric": ["!", 0]}]}, "Unrecognized numeric range operator: !"),
        ({"a": [{"numeric": [">", 0, 5]}]}, "Bad value in numeric range: 5"),
        ({"a": [{"numeric": [5]}]}, "Invalid member in numeric match: 5"),
        ({"a": [{"numeric": []}]}, "Invalid member in numeric match: ]"),
        ({"a": [{"numeric": ["=", 5, "<", 6]}]}, "Too many elements in numeric expression"),
        ({"a": [{"numeric": [">", 0, "<", 6, "<", 7]}]}, "Too many terms in numeric range expression"),
        ({"a": [{"numeric": [">", 6, "<", 6]}]}, "Bottom must be less than top"),
        ({"a": [{"numeric": [">", 5000000001]}]}, "Value must be between -5000000000 and 5000000000, inclusive"),
        ({"a": [{"cidr": "10.0.0.0"}]}, "Malformed CIDR, one '/' required"),
        ({"a": [{"cidr": "10.0.0.0/x"}]}, "Malformed CIDR, mask bits must be an integer"),
        ({"a": [{"cidr": "10.0.0.0/33"}]}, "Malformed CIDR, mask bits must be between 0 and 32"),
        ({"a": [{"cidr": "xx.11.xx/8"}]}, "Nonstandard IP address: xx.11.xx"),
        ({"a": [{"cidr": 1}]}, "cidr match pattern must be a string"),
        ('"x"', "Filter is not an object"),
        ("[1]", "Filter is not an object"),
        ("simple string", "Filter is not an object"),
        ("", "Filter is not an object"),
        (b"{\xff}", "Filter is not valid UTF-8"),
        (json.dumps({"a": ["x" * 4096]}), "Filter is longer than 4096 characters"),
        ('{"a": ' * 101 + "[1]" + "}" * 101, f"Filter is nested more than {DEPTH_LIMIT} levels deep"),
        ({".".join("x" * 101): [1]}, f"Filter is nested more than {DEPTH_LIMIT} levels deep"),
        ({"a" + "." * 3000: [1]}, f"Filter is nested more than {DEPTH_LIMIT} levels deep"),
    ],
)
def test_a_bad_pattern_is_refused_in_the_words_of_aws(pattern, expected):
    assert reason(pattern) == expected


@pytest.mark.unit
def test_bad_json_is_told_with_its_place():
    assert reason('{"a": [1}').startswith("Unexpected character ('}' (code 125))")
    assert reason('{"a": [NaN]}').startswith("Non-standard token 'NaN'")


@pytest.mark.unit
def test_combinations_of_or_are_bounded():
    def several(count):
        return {f"f{i}": {"$or": [{"a": [1]}, {"b": [2]}]} for i in range(count)}

    assert matches(several(9), {f"f{i}": {"b": 2} for i in range(9)})
    assert reason(several(10)) == f"Filter has more than {ALTERNATIVES_LIMIT} combinations of $or"


@pytest.mark.unit
def test_a_pattern_may_be_as_deep_as_allowed_and_the_event_deeper():
    pattern: object = ["x"]
    event: object = "x"
    for _ in range(DEPTH_LIMIT):
        pattern, event = {"a": pattern}, {"a": [event]}
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]

    assert matches(pattern, event)
    assert matches({"a": ["x"]}, {"a": deep})


@pytest.mark.unit
def test_a_wildcard_takes_time_in_proportion_to_the_value():
    fits = compile_wildcard("*a" * 25)
    value = "a" * 24 + "b" * 1_000_000

    started = time.perf_counter()
    assert not fits(value)

    assert time.perf_counter() - started < 1


# §4.10: filters of a mapping


@pytest.mark.unit
def test_one_of_the_filters_is_enough_and_none_lets_all_pass():
    filters = Filters.of(['{"data": {"a": [1]}}', '{"partitionKey": ["k"]}'], "data")

    assert filters.matches({"data": {"a": 1}, "partitionKey": "x"})
    assert filters.matches({"data": {"a": 2}, "partitionKey": "k"})
    assert not filters.matches({"data": {"a": 2}, "partitionKey": "x"})
    assert Filters.of([], "data").matches({"partitionKey": "x"})


@pytest.mark.unit
def test_a_payload_that_is_not_json_is_dropped_by_a_pattern_for_it_and_judged_by_metadata_otherwise():
    unreadable = {"partitionKey": "k"}

    assert not Filters.of(['{"data": {"a": [1]}}'], "data").matches(unreadable)
    assert not Filters.of(['{"data": {"a": [{"exists": false}]}}'], "data").matches(unreadable)
    assert not Filters.of(['{"data.a": [{"exists": false}]}'], "data").matches(unreadable)
    assert not Filters.of(['{"partitionKey": ["k"], "data": {"a": [1]}}'], "data").matches(unreadable)
    assert Filters.of(['{"partitionKey": ["k"]}'], "data").matches(unreadable)
    assert Filters.of(['{"data": {"a": [1]}}', '{"partitionKey": ["k"]}'], "data").matches(unreadable)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("pattern", "payload", "fits"),
    [
        ('{"body": ["hello"]}', "hello", True),
        ('{"body": ["hello"]}', "other", False),
        ('{"body": [{"prefix": "he"}]}', "hello", True),
        ('{"body": {"a": [{"exists": false}]}}', "hello", False),
        ('{"body": ["hello"]}', ["hello"], False),
        ('{"body": [{"anything-but": ["x"]}]}', {"a": 1}, False),
        ('{"body": [{"exists": false}]}', {"a": 1}, False),
        ('{"body": {"a": [1]}}', [{"a": 1}], True),
        ('{"$or": [{"body": ["hello"]}, {"body": {"a": [{"exists": false}]}}]}', "hello", True),
        ('{"$or": [{"body": ["hello"]}, {"body": {"a": [{"exists": false}]}}]}', "other", False),
        ('{"$or": [{"body": ["hello"]}, {"body": {"a": [{"exists": false}]}}]}', {"b": 1}, True),
    ],
)
def test_a_pattern_for_text_fits_only_text_and_one_for_a_document_only_documents(pattern, payload, fits):
    assert Filters.of([pattern], "body").matches({"body": payload}) == fits


@pytest.mark.unit
@pytest.mark.parametrize("pattern", ['{"data": "text"}', '{"eventSource": []}', "simple string", "null"])
def test_filters_refuse_a_bad_pattern(pattern):
    with pytest.raises(PatternError):
        Filters.of(['{"a": [1]}', pattern], "data")


# explain


@pytest.mark.unit
def test_the_explanation_names_the_leaf_that_failed():
    pattern = compile_pattern('{"data": {"price": [{"numeric": [">=", 100]}], "kind": ["a", {"prefix": "b"}]}}')

    price, kind = pattern.explain({"data": {"price": 42, "kind": "bc"}})

    assert (price.path, price.test, price.values, price.met, price.is_match) == (
        "data.price",
        "numeric >= 100",
        (42,),
        "42",
        False,
    )
    assert (kind.test, kind.met, kind.is_match) == ('"a" or prefix "b"', '"bc"', True)


@pytest.mark.unit
def test_the_explanation_tells_nothing_from_an_object_and_shows_the_first_values_of_many():
    pattern = compile_pattern('{"a": ["x"], "b": ["x"], "c": {"d": ["x"]}}')

    met = [finding.met for finding in pattern.explain({"b": {"x": 1}, "c": [{"d": n} for n in range(7)]})]

    assert met == ["nothing", "no plain value", "0, 1, 2, 3, 4, ..."]


@pytest.mark.unit
def test_the_explanation_tells_values_scattered_over_an_array():
    pattern = compile_pattern('{"i": {"a": [1], "b": [2]}}')

    *leaves, last = pattern.explain({"i": [{"a": 1}, {"b": 2}]})

    assert [leaf.is_match for leaf in leaves] == [True, True]
    assert (last.path, last.test, last.is_match) == ("i", "all fields in one element", False)


@pytest.mark.unit
def test_the_explanation_shows_every_branch_of_or_where_the_pattern_has_it():
    pattern = compile_pattern('{"$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"c": [3]}]}], "d": [4]}')

    findings = pattern.explain({"c": 3, "d": 4})

    assert [(finding.branch, finding.path, finding.is_match) for finding in findings] == [
        ("$or[0]", "a", False),
        ("$or[1].$or[0]", "b", False),
        ("$or[1].$or[1]", "c", True),
        ("", "d", True),
    ]


# Laws


def flatten(value, path=(), place=()):
    """Yield (dotted name, scalar, which element of which array) of every scalar, as EventBridge flattens an event."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, (*path, key), place)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            spot = (path, sum(spot[0] == path for spot in place))
            yield from flatten(inner, path, (*place, (path, spot[1], index)))
    else:
        yield ".".join(path), value, place


def consistent(one, other):
    """Say whether two places are in the same element of every array that holds both."""
    return all(mine[2] == theirs[2] for mine in one for theirs in other if mine[:2] == theirs[:2])


def alternatives(pattern, path=()):
    """Multiply out $or: yield lists of (dotted name, leaf)."""
    choices = []
    for key, value in pattern.items():
        if key == "$or":
            choices.append([found for branch in value for found in alternatives(branch, path)])
        elif isinstance(value, dict):
            choices.append(list(alternatives(value, (*path, key))))
        else:
            choices.append([[(".".join((*path, key)), value)]])
    for chosen in itertools.product(*choices):
        yield list(itertools.chain(*chosen))


def asks_twice(leaves):
    """Say whether one field is asked for by two leaves, or as a value and as an object: there AWS takes one of them."""
    names = sorted(name for name, _ in leaves)
    return any(f"{after}.".startswith(f"{before}.") for before, after in itertools.combinations(names, 2))


def satisfies(test, value):
    if not isinstance(test, dict):
        return type(test) is type(value) and test == value
    (name, given), *_ = test.items()
    if name == "prefix":
        return isinstance(value, str) and value.startswith(given)
    if name == "anything-but":
        return not any(satisfies(other, value) for other in given)
    if name == "numeric":
        return isinstance(value, int) and not isinstance(value, bool) and value > given[1]
    return given  # exists


def slowly(pattern, event):
    """Match by trying every choice of one scalar for every leaf; what absence satisfies comes last, in any order."""
    fields = list(flatten(event))

    def choose(leaves, places):
        if not leaves:
            return True
        (name, tests), *rest = leaves
        here = [(value, place) for field, value, place in fields if field == name]
        near = [(value, place) for value, place in here if all(consistent(place, other) for other in places)]
        if any(satisfies(t, value) and choose(rest, [*places, place]) for value, place in near for t in tests):
            return True
        return {"exists": False} in tests and not near and choose(rest, places)

    def orders(leaves):
        lenient = [leaf for leaf in leaves if {"exists": False} in leaf[1]]
        strict = [leaf for leaf in leaves if leaf not in lenient]
        return ([*strict, *order] for order in itertools.permutations(lenient))

    return any(choose(order, []) for found in alternatives(pattern) for order in orders(found))


KEYS = st.sampled_from(["a", "b", "c"])
SCALARS = st.sampled_from(["x", "xy", "z", 0, 1, 7, True, None])
TESTS = st.one_of(
    SCALARS,
    st.sampled_from(
        [
            {"prefix": "x"},
            {"anything-but": ["x", "z"]},
            {"anything-but": [1]},
            {"numeric": [">", 0]},
            {"exists": True},
        ]
    ),
)
LEAF = st.lists(TESTS, min_size=1, max_size=2)


def objects(leaf, *, depth):
    values = leaf if depth == 0 else st.one_of(leaf, objects(leaf, depth=depth - 1))
    return st.dictionaries(KEYS, values, min_size=1, max_size=3)


@st.composite
def patterns(draw):
    pattern = draw(objects(LEAF, depth=2))
    if draw(st.booleans()):
        pattern["$or"] = draw(st.lists(objects(LEAF, depth=1), min_size=2, max_size=3))
    return pattern


def events():
    elements = st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=12,
    )
    return st.dictionaries(KEYS, elements, max_size=3)


@pytest.mark.property
@given(pattern=patterns(), event=events())
def test_a_pattern_matches_what_the_slow_reading_of_it_matches(pattern, event):
    assume(not any(asks_twice(found) for found in alternatives(pattern)))

    assert matches(pattern, event) is slowly(pattern, event)


LENIENT = st.sampled_from([[{"exists": False}], [{"exists": False}, "x"], [{"exists": False}, {"anything-but": ["x"]}]])
FIELDS = st.dictionaries(KEYS, SCALARS, max_size=3)


@pytest.mark.property
@given(
    pattern=st.dictionaries(
        KEYS, st.dictionaries(KEYS, LEAF | LENIENT, min_size=1, max_size=3), min_size=1, max_size=2
    ),
    event=st.dictionaries(KEYS, FIELDS | st.lists(FIELDS, max_size=3)),
)
def test_absence_is_judged_in_the_element_that_the_other_fields_have_picked(pattern, event):
    assert matches(pattern, event) is slowly(pattern, event)


@pytest.mark.property
@given(pattern=patterns(), event=events())
def test_the_explanation_agrees_with_the_verdict(pattern, event):
    compiled = compile_pattern(json.dumps(pattern))
    findings = compiled.explain(event)

    if "$or" not in pattern:
        assert compiled.matches(event) is all(finding.is_match for finding in findings)
    if not compiled.matches(event):
        assert not all(finding.is_match for finding in findings)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "prefix",
                    "suffix",
                    "anything-but",
                    "equals-ignore-case",
                    "numeric",
                    "exists",
                    "cidr",
                    "wildcard",
                    "$or",
                ]
            )
            | st.sampled_from([">", "<", "=", "a.b"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@pytest.mark.property
@given(pattern=JSON | st.dictionaries(st.text(max_size=3), JSON), event=st.dictionaries(st.text(max_size=3), JSON))
@example(pattern={"a": [1e308 * 10]}, event={"a": 1})
@example(pattern={"\ud800": ["\udfff"]}, event={"\ud800": "\udfff"})
def test_any_json_is_a_pattern_or_refused(pattern, event):
    try:
        compiled = compile_pattern(json.dumps(pattern))
    except PatternError:
        return
    assert compiled.matches(event) in {True, False}
    assert compiled.explain(event)


@pytest.mark.property
@given(text=st.text(max_size=40) | st.binary(max_size=40) | st.text(alphabet='{}[]",:\\a1*', max_size=40))
def test_any_text_is_a_pattern_or_refused(text):
    with contextlib.suppress(PatternError):
        compile_pattern(text)


@pytest.mark.property
@given(text=st.text(alphabet="ab*", max_size=8).filter(lambda text: "**" not in text), value=st.text("ab", max_size=8))
def test_a_wildcard_fits_what_trying_every_split_finds(text, value):
    def fits(rest, left):
        if not rest:
            return not left
        if rest[0] == "*":
            return any(fits(rest[1:], left[n:]) for n in range(len(left) + 1))
        return left[:1] == rest[0] and fits(rest[1:], left[1:])

    assert compile_wildcard(text)(value) is (bool(text) and fits(text, value))
