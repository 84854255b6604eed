"""The variables of a serverless.yml."""

import pytest

from eventrouter.project.model import ProjectError
from eventrouter.project.serverless_variables import Given, Variables
from eventrouter.project.yaml_lines import parse

pytestmark = pytest.mark.unit


@pytest.fixture
def variables(tmp_path):
    """Return the variables of a file of this text, in an empty folder."""

    def read(text, **given):
        return Variables(parse(text, "serverless.yml"), Given(folder=tmp_path, **given))

    return read


@pytest.fixture
def value(variables):
    """Return what stands under `it` in a file of this text."""

    def read(text, **given):
        found = variables(text, **given).look_up("it")
        return None if found is None else found.plain

    return read


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("it: plain", "plain"),
        ("it: ${self:custom.a}\ncustom: {a: 3}", 3),
        ("it: a-${self:custom.a}-b\ncustom: {a: 3}", "a-3-b"),
        ("it: a-${self:custom.a}\ncustom: {a: true}", "a-true"),
        ("it: ${self:custom}\ncustom: {a: [1, {b: x}]}", {"a": [1, {"b": "x"}]}),
        ("it: ${self:custom.a.1.b}\ncustom: {a: [1, {b: x}]}", "x"),
        ("it: ${self:custom.a, 'd'}\ncustom: {}", "d"),
        ("it: ${self:custom.a, 'd'}\ncustom: {a: null}", "d"),
        ("it: ${self:custom.a.b, 'd'}\ncustom: {a: text}", "d"),
        ("it: ${self:custom.a, null}", None),
        ("it: ${self:custom.a, self:custom.b, 7}\ncustom: {b: 2}", 2),
        ("it: ${self:custom.a, ${self:custom.b}}\ncustom: {b: {c: 1}}", {"c": 1}),
        ("it: ${self:custom.${self:custom.which}.x}\ncustom: {which: b, b: {x: 9}}", 9),
        ("it: ${self:custom.a.x}\ncustom: {a: '${self:custom.b}', b: {x: 1}}", 1),
        ("it: ['${self:custom.a}', {k: '${self:custom.a}'}]\ncustom: {a: 1}", [1, {"k": 1}]),
        ("it: ${strToBool(true)}", True),
        ("it: ${strToBool(${self:custom.flag, '0'})}", False),
        (r"it: \${self:custom.a}", "${self:custom.a}"),
        ("it: !Sub 'x-${AWS::Region}-${Queue.Arn}'", {"Fn::Sub": "x-${AWS::Region}-${Queue.Arn}"}),
        ("it: !Sub 'x-${AWS::Region}-${self:custom.a}'\ncustom: {a: 1}", {"Fn::Sub": "x-${AWS::Region}-1"}),
        ("it: ${sls:stage}", "dev"),
        ("it: ${self:provider.stage}", "dev"),
        ("it: ${self:provider.region}-${aws:region}-${aws:accountId}", "us-east-1-us-east-1-000000000000"),
    ],
)
def test_a_variable_is_replaced_by_what_it_names(value, text, wanted):
    assert value(text) == wanted


def test_options_and_the_environment_are_given(value):
    given = {"options": {"size": "big"}, "environ": {"HOME_TOWN": "Bonn"}, "stage": "prod", "region": "eu-west-1"}

    assert value("it: ${opt:size}", **given) == "big"
    assert value("it: ${opt:colour, 'red'}", **given) == "red"
    assert value("it: ${env:HOME_TOWN}", **given) == "Bonn"
    assert value("it: ${sls:stage}-${aws:region}", **given) == "prod-eu-west-1"


PARAMS = """\
it: ${param:a}-${param:b}-${param:c, 'z'}
params:
  default: {a: 1, b: 1}
  prod: {a: 2}
"""
STAGES = """\
it: ${param:a}-${param:b}-${param:c, 'z'}
stages:
  default: {params: {a: 1, b: 1}}
  prod: {params: {a: 2}}
"""


@pytest.mark.parametrize("text", [PARAMS, STAGES])
def test_a_parameter_is_the_option_s_or_the_stage_s_or_the_default_one(value, text):
    assert value(text) == "1-1-z"
    assert value(text, stage="prod") == "2-1-z"
    assert value(text, stage="prod", options={"a": "3", "c": "4"}) == "3-1-4"


def test_files_are_read_whole_or_at_an_address(value, variables, tmp_path):
    (tmp_path / "dev.yml").write_text("a: {b: 1}\nc: ${self:custom.x}\n")
    (tmp_path / "list.json").write_text('[{"k": "v"}]')
    (tmp_path / "note.txt").write_text("some text\n")

    assert value("it: ${file(./dev.yml)}\ncustom: {x: 5}") == {"a": {"b": 1}, "c": 5}
    assert value("it: ${file(dev.yml):a.b}") == 1
    assert value("it: ${file(./${sls:stage}.yml):a.b}") == 1
    assert value("it: ${file(list.json):0.k}") == "v"
    assert value("it: ${file(note.txt)}") == "some text"
    assert value("it: ${file(nowhere.yml):a, 'd'}") == "d"
    assert value("it: ${file(dev.yml):nothing, 'd'}") == "d"
    read = variables("it: ['${file(dev.yml):a}', '${file(note.txt)}', '${file(no.yml), 1}']")
    read.resolve(read.look_up("it"))
    assert read.files == (tmp_path / "dev.yml", tmp_path / "note.txt")


def test_an_error_in_a_file_names_that_file(value, tmp_path):
    (tmp_path / "more.yml").write_text("a: 1\nb: ${opt:missing}\n")

    with pytest.raises(ProjectError, match=r"more\.yml:2: \$\{opt:missing\} has no value and no default"):
        value("it: ${file(more.yml)}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x: 1\nit: ${opt:a}", r":2: \$\{opt:a\} has no value and no default"),
        ("x: 1\nit: ${opt:a, self:b}", ":2: .* has no value and no default"),
        ("it: x-${self:custom}\ncustom: {a: 1}", r":1: \$\{self:custom\} is a mapping and cannot be part of a text"),
        ("it: x-${self:custom.a, null}", r"is nothing and cannot be part of a text"),
        ("it: ${opt:a, dev}", "dev names no source; texts stand in quotes"),
        ("it: ${nothing:a}", r"\$\{nothing:a\}: there is no such source of variables here"),
        ("it: ${sls:instanceId}", r"there is no such source"),
        ("it: ${file(a.js):b}", r"file\(a.js\) is a program"),
        ("it: ${strToBool(maybe)}", "must be true, false, 1 or 0"),
        ("it: ${self:it}", r":1: the variables go round in circles: \$\{self:it\} -> \$\{self:it\}"),
        (
            "it: ${self:custom.a}\ncustom:\n  a: ${self:custom.b}\n  b: x${self:custom.a}",
            r":3: .* circles: \$\{self:custom.b\} -> x\$\{self:custom.a\} -> \$\{self:custom.b\}",
        ),
        ("it: ${self:custom}\ncustom:\n  inner: ${self:custom}", "go round in circles"),
    ],
)
def test_what_cannot_be_resolved_is_told_with_its_line(value, text, told):
    with pytest.raises(ProjectError, match=rf"serverless\.yml.*{told}"):
        value(text)


def test_what_only_aws_knows_is_left_for_who_needs_it(value):
    assert value("it: ${ssm:/db/url}") == "{{resolve:ssm:/db/url}}"
    assert value("it: x-${cf:stack.${sls:stage}}") == "x-{{resolve:cf:stack.dev}}"


def test_what_only_aws_knows_can_be_given(value):
    assert value("it: ${ssm:/db/url, 'd'}", options={"resolve:ssm:/db/url": "here"}) == "here"


def test_a_default_in_place_of_what_only_aws_knows_is_noted(variables):
    read = variables("it: ${ssm:/db/url, 'd'}")

    assert read.look_up("it").plain == "d"
    (note,) = read.not_applied
    assert (note.what, note.place.line) == ("${ssm:}", 1)
    assert note.why == "the parameter store cannot be asked; the default holds"


def test_a_few_lines_cannot_unfold_to_billions_of_values(value):
    lines = ["a0: [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: [" + ", ".join(["'${self:a" + str(n - 1) + "}'"] * 10) + "]" for n in range(1, 12)]

    with pytest.raises(ProjectError, match="unfold to more than 200000 values"):
        value("\n".join([*lines, "it: ${self:a11}"]))


def test_a_few_lines_cannot_unfold_to_a_text_of_gigabytes(value):
    lines = ["a0: xxxxxxxxxx"] + [f"a{n}: " + ("${self:a" + str(n - 1) + "}") * 10 for n in range(1, 12)]

    with pytest.raises(ProjectError, match="unfold to more than 16777216 characters"):
        value("\n".join([*lines, "it: ${self:a11}"]))


def test_many_texts_cannot_be_made_of_one_large_one(value):
    lines = ["big: " + "x" * 400_000, "it:", *("  - a${self:big}" for _ in range(100))]

    with pytest.raises(ProjectError, match=":\\d+: the variables up to here unfold"):
        value("\n".join(lines))


@pytest.mark.parametrize(("inner", "depth"), [("a", 21), ("a" * 5_000, 2)])
def test_a_variable_that_would_take_long_to_read_is_refused_shortly(value, inner, depth):
    with pytest.raises(ProjectError, match="longer than 4096 characters, or deeper than 20") as caught:
        value(f"it: {'${self:' * depth}{inner}{'}' * depth}")

    assert len(str(caught.value)) < 200


def test_variables_that_are_nested_too_deeply_are_refused(value):
    lines = [f"a{n}: ${{self:a{n + 1}}}" for n in range(3000)]

    with pytest.raises(ProjectError, match="nested too deeply"):
        value("\n".join([*lines, "a3000: 1", "it: ${self:a0}"]))


def test_which_options_were_asked_for_is_known(variables):
    read = variables("it: ${opt:a, 1}-${param:b, 2}")
    read.look_up("it")

    assert read.asked == {"a", "b"}
