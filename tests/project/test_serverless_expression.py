"""What `${...}` is made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.project.serverless_expression import BadExpression, Literal, Source, Variable, split_text

pytestmark = pytest.mark.unit


def only(text):
    (variable,) = split_text(text)
    return variable.candidates


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("${self:custom.a}", (Source("self", None, "custom.a"),)),
        ("${self:}", (Source("self", None, ""),)),
        ("${file(./a.yml)}", (Source("file", "./a.yml", None),)),
        ("${file(./a.yml):b.c}", (Source("file", "./a.yml", "b.c"),)),
        ("${file(./${opt:stage}.yml):x}", (Source("file", "./${opt:stage}.yml", "x"),)),
        ("${self:custom.${opt:stage, 'dev'}.x}", (Source("self", None, "custom.${opt:stage, 'dev'}.x"),)),
        ("${strToBool(${env:FLAG, 'a, b'})}", (Source("strToBool", "${env:FLAG, 'a, b'}", None),)),
        ("${opt:stage, 'dev'}", (Source("opt", None, "stage"), Literal("dev"))),
        ('${opt:a, "}, {"}', (Source("opt", None, "a"), Literal("}, {"))),
        ("${opt:a, ''}", (Source("opt", None, "a"), Literal(""))),
        ("${opt:a, env:B, -1.5}", (Source("opt", None, "a"), Source("env", None, "B"), Literal(-1.5))),
        ("${opt:a, 3}", (Source("opt", None, "a"), Literal(3))),
        ("${opt:a, true}", (Source("opt", None, "a"), Literal(True))),
        ("${opt:a, null}", (Source("opt", None, "a"), Literal(None))),
        (
            "${opt:a, ${self:b, 'c'}}",
            (
                Source("opt", None, "a"),
                Variable("${self:b, 'c'}", (Source("self", None, "b"), Literal("c"))),
            ),
        ),
        ("${aws:region}", (Source("aws", None, "region"),)),
        ("${cf(eu-west-1):stack.output}", (Source("cf", "eu-west-1", "stack.output"),)),
        ("${ self:a }", (Source("self", None, "a"),)),
    ],
)
def test_a_variable_names_sources_and_defaults(text, candidates):
    assert only(text) == candidates


@pytest.mark.parametrize(
    "text", ["plain", "$5 {x}", "${AWS::Region}", "${Queue}", "${Queue.Arn}", "arn:${AWS::Partition}:s3:::x", "${", "$"]
)
def test_what_is_cloudformation_s_stays_as_it_is(text):
    assert split_text(text) == (text,)


def test_a_backslash_keeps_what_looks_like_a_variable():
    assert split_text(r"a \${self:b} c") == ("a ${self:b} c",)


def test_texts_and_variables_take_turns():
    parts = split_text("a-${opt:b}${opt:c}-${AWS::Region}")

    assert [part if isinstance(part, str) else part.text for part in parts] == [
        "a-",
        "${opt:b}",
        "${opt:c}",
        "-${AWS::Region}",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${self:a", "is not closed"),
        ("${file(a.yml}", "has no closing bracket"),
        ("${opt:a, dev}", "dev names no source; texts stand in quotes"),
        ("${opt:a, 'dev}", "has no closing quote"),
        ("${opt:a, 'dev' x}", "is not closed by its quote"),
        ("${opt:a, }", "nothing stands between two commas"),
        ("${opt:a, ${opt:b}x}", "neither one variable nor a source"),
        ("${opt:a, 1abc:x}", "names no source"),
        ("${file(a)b}", "names no source"),
    ],
)
def test_what_is_no_variable_says_why(text, told):
    with pytest.raises(BadExpression, match=told):
        split_text(text)


@pytest.mark.property
@given(st.text("${}()':,\\ aself.", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        parts = split_text(text)
    except BadExpression:
        return
    joined = "".join(part if isinstance(part, str) else part.text for part in parts)
    assert joined == text.replace("\\${", "${")
