"""What `${...}` in a serverless.yml is made of: sources with addresses, and the defaults behind the commas.

Only the form is read here; `serverless_variables` knows what the sources hold. CloudFormation's own `${Name}`,
`${Name.Arn}` and `${AWS::Region}` are no variables of the Serverless Framework and stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_OPENING = re.compile(r"\\?\$\{")
_VARIABLE = re.compile(r"\$\{\s*(?:[A-Za-z][A-Za-z0-9_-]*(?:\(|:(?!:))|\$\{|['\"])")
_SOURCE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
_CONSTANTS = {"true": True, "false": False, "null": None}

MAX_LENGTH = 4096
MAX_DEPTH = 20
"""How long a variable may be, and how deep others may stand in it: each is read once for every one around it."""

Constant = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the expression itself."""

    value: Constant


@dataclass(frozen=True, slots=True)
class Source:
    """`kind(argument):address`; both parts may hold variables themselves."""

    kind: str
    argument: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Variable:
    """One `${...}`: its text, and what is asked one after the other until something answers."""

    text: str
    candidates: tuple[Literal | Source | Variable, ...]


class BadExpression(Exception):
    """The text of a variable cannot be read; says why."""


def split_text(text: str) -> tuple[str | Variable, ...]:
    """Cut a text into what stands as it is and the variables in it. Raises BadExpression."""
    parts: list[str | Variable] = []
    plain, at = "", 0
    while (opening := _OPENING.search(text, at)) is not None:
        plain += text[at : opening.start()]
        start = opening.end() - 2
        if opening[0].startswith("\\") or _VARIABLE.match(text, start) is None:
            plain += "${"
            at = opening.end()
        else:
            end = _closing(text, start)
            parts += [plain] if plain else []
            plain, at = "", end
            parts.append(_variable(text[start:end]))
    plain += text[at:]
    return (*parts, plain) if plain else tuple(parts)


def _closing(text: str, start: int) -> int:
    """Return the index behind the `}` that closes the `${` at `start`."""
    depth = 0
    for at, sign in _signs(text, start):
        if sign == "${":
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                return at + 1
        if at - start > MAX_LENGTH or depth > MAX_DEPTH:
            raise BadExpression(
                f"{text[start : start + 40]}… is longer than {MAX_LENGTH} characters, or deeper than {MAX_DEPTH}"
            )
    raise BadExpression(f"{text[start : start + 200]} is not closed")


def _signs(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Yield `${`, `}`, `(`, `)` and `,` with their places; what quotes enclose is passed over."""
    at, before = start, ","
    while at < len(text):
        if text[at] in "'\"" and before in (",", "${", "("):
            closing = text.find(text[at], at + 1)
            if closing < 0:
                raise BadExpression(f"{text[at:]} has no closing quote")
            at, before = closing + 1, "quoted"
            continue
        sign = "${" if text.startswith("${", at) else text[at]
        if sign in ("${", "}", "(", ")", ","):
            yield at, sign
        if not sign.isspace():
            before = sign
        at += len(sign)


def _variable(text: str) -> Variable:
    inner = text[2:-1]
    cuts, depth = [-1], 0
    for at, sign in _signs(inner, 0):
        depth += (sign in ("${", "(")) - (sign in ("}", ")"))
        if sign == "," and depth == 0:
            cuts.append(at)
    ends = [*cuts[1:], len(inner)]
    return Variable(text, tuple(_candidate(inner[cut + 1 : end].strip()) for cut, end in zip(cuts, ends, strict=True)))


def _candidate(text: str) -> Literal | Source | Variable:
    if not text:
        raise BadExpression("nothing stands between two commas")
    if text[0] in "'\"":
        if len(text) < 2 or text[-1] != text[0]:
            raise BadExpression(f"{text} is not closed by its quote")
        return Literal(text[1:-1])
    if text in _CONSTANTS:
        return Literal(_CONSTANTS[text])
    if _NUMBER.fullmatch(text):
        return Literal(float(text) if "." in text else int(text))
    if text.startswith("${"):
        if _closing(text, 0) != len(text):
            raise BadExpression(f"{text} is neither one variable nor a source")
        return _variable(text)
    return _source(text)


def _source(text: str) -> Source:
    name = _SOURCE.match(text)
    if name is None:
        raise BadExpression(f"{text} names no source; texts stand in quotes")
    argument, rest = None, text[name.end() :]
    if rest.startswith("("):
        depth = 0
        for at, sign in _signs(rest, 0):
            depth += (sign in ("(", "${")) - (sign in (")", "}"))
            if depth == 0:
                argument, rest = rest[1:at], rest[at + 1 :]
                break
        else:
            raise BadExpression(f"{text} has no closing bracket")
    if rest and not rest.startswith(":"):
        raise BadExpression(f"{text} names no source; texts stand in quotes")
    if argument is None and not rest:
        raise BadExpression(f"{text} names no source; texts stand in quotes")
    return Source(name[1], argument, rest[1:] if rest else None)
