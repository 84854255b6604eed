"""`eventrouter filters test`: a pattern and an event, no node."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from eventrouter.cli import main

pytestmark = pytest.mark.unit

PATTERN = '{"data": {"price": [{"numeric": [">=", 100]}], "status": ["open"]}}'
CHEAP = '{"data": {"price": 42, "status": "open"}}'
DEAR = '{"data": {"price": 142, "status": "open"}}'


def run(*arguments: str) -> int:
    return main(["filters", "test", *arguments])


def test_the_exit_code_is_the_verdict(capsys):
    assert run(PATTERN, DEAR) == 0
    assert run(PATTERN, CHEAP) == 1
    assert capsys.readouterr().out == "match\nno match\n"


def test_the_explanation_names_the_leaf_that_failed(capsys):
    assert run(PATTERN, CHEAP, "--explain") == 1

    assert capsys.readouterr().out.splitlines() == [
        "data.price    numeric >= 100   event has 42       no",
        'data.status   "open"           event has "open"   yes',
        "no match",
    ]


def test_a_field_that_is_missing_is_told_from_one_that_is_an_object(capsys):
    run('{"a": ["x"], "b": ["x"]}', '{"b": {}}', "--explain")

    told = capsys.readouterr().out
    assert 'a   "x"   event has nothing          no' in told
    assert 'b   "x"   event has no plain value   no' in told


def test_values_scattered_over_an_array_are_told(capsys):
    assert run('{"i": {"a": [1], "b": [2]}}', '{"i": [{"a": 1}, {"b": 2}]}', "--explain") == 1

    *_, scattered, verdict = capsys.readouterr().out.splitlines()
    assert scattered == "i     all fields in one element   event has them in different elements   no"
    assert verdict == "no match"


def test_the_branches_of_or_are_told_apart(capsys):
    assert run('{"$or": [{"a": [1]}, {"b": [2]}]}', '{"b": 2}', "--explain") == 0

    assert capsys.readouterr().out.splitlines() == [
        "$or[0] a   1   event has nothing   no",
        "$or[1] b   2   event has 2         yes",
        "match",
    ]


def test_the_answer_comes_as_json_on_request(capsys):
    assert run(PATTERN, CHEAP, "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"match": False}

    assert run(PATTERN, CHEAP, "--json", "--explain") == 1
    price = {"path": "data.price", "branch": None, "test": "numeric >= 100", "values": [42], "match": False}
    status = {"path": "data.status", "branch": None, "test": '"open"', "values": ["open"], "match": True}
    assert json.loads(capsys.readouterr().out) == {"match": False, "leaves": [price, status]}


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_halves_of_surrogate_pairs_can_be_printed(form, capsysbinary):
    assert run(r'{"\ud800": ["\udfff"]}', r'{"\ud800": "\udfff"}', "--explain", *form) == 0

    assert rb"\ud800" in capsysbinary.readouterr().out


def test_pattern_and_event_may_come_from_files_and_stdin(tmp_path, monkeypatch, capsys):
    (tmp_path / "pattern.json").write_text(PATTERN)
    (tmp_path / "event.json").write_bytes(b"\xef\xbb\xbf" + DEAR.encode())

    assert run(f"@{tmp_path}/pattern.json", f"@{tmp_path}/event.json") == 0

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(CHEAP.encode())))
    assert run(f"@{tmp_path}/pattern.json", "-") == 1
    assert capsys.readouterr().out == "match\nno match\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (('{"a": 1}', "{}"), 'Event pattern is not valid. Reason: "a" must be an object or an array'),
        (('{"a": [1', "{}"), "Event pattern is not valid. Reason: Unexpected end-of-input"),
        (("\udcff", "{}"), "Event pattern is not valid. Reason: Filter is not valid UTF-8"),
        (('{"a": [1]}', "{"), "the event is not JSON: Unexpected end-of-input"),
        (('{"a": [1]}', '{"a": NaN}'), "the event is not JSON: Non-standard token 'NaN'"),
        (('{"a": [1]}', "[1]"), "the event is not a JSON object"),
        (('{"a": [1]}', '{"a": ' + "1" * 5_000 + "}"), "the event cannot be read"),
        (("@/no/such/file", "{}"), "/no/such/file cannot be read"),
        (("-", "-"), "only one of PATTERN and EVENT can come from stdin"),
        (('{"a": [1]}',), "Missing argument 'EVENT'"),
    ],
)
def test_bad_input_exits_with_2_and_says_so_on_stderr(arguments, told, capsys):
    assert run(*arguments) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err


def test_neither_a_node_nor_a_heavy_library_is_needed():
    code = (
        "import sys; from eventrouter.cli import main; main(sys.argv[1:]); "
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "filters", "test", PATTERN, DEAR], capture_output=True, text=True, check=True
    )

    heavy = {"asyncio", "botocore", "redis", "uvicorn", "pydantic", "structlog", "rich", "http.client"}
    assert done.stdout == "match\n"
    assert not heavy & set(done.stderr.split())


def test_the_help_imports_no_rules():
    code = (
        "import sys; from eventrouter.cli import main; main(sys.argv[1:]); "
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "filters", "test", "--help"], capture_output=True, text=True, check=True
    )

    assert "Exits with 0 if it matches, with 1 if it does not, with 2 if either is not valid." in " ".join(
        done.stdout.split()
    )
    assert not {name for name in done.stderr.split() if name.startswith("eventrouter.rules")}
