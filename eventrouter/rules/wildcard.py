"""Wildcards of event patterns: `*` stands for any characters, also none.

A wildcard is cut at its stars into literal pieces, which are looked for one after the other, each once: the first
place where a piece fits is never a worse choice than a later one, so nothing is ever tried again.
Source: lambda-semantics §6.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

COMPLEXITY_LIMIT = 50
"""Matches of pieces that may be under way at one character. AWS does not publish its own bound."""

TOO_COMPLEX = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences "
    "after a wildcard character"
)


def compile_wildcard(text: str) -> Callable[[str], bool]:
    r"""Return what says whether a value fits `text`. `\*` and `\\` stand for themselves; `""` fits nothing.

    Raises ValueError with AWS's reason.
    """
    pieces = _pieces(text)
    if sum(1 + _overlaps(piece) for piece in pieces[1:] if piece) > COMPLEXITY_LIMIT:
        raise ValueError(TOO_COMPLEX)
    if not text:
        return lambda _: False
    if len(pieces) == 1:
        return pieces[0].__eq__
    first, *middle, last = pieces
    shortest = sum(map(len, pieces))

    def fits(value: str) -> bool:
        if len(value) < shortest or not value.startswith(first) or not value.endswith(last):
            return False
        position, end = len(first), len(value) - len(last)
        for piece in middle:
            found = value.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return fits


def _pieces(text: str) -> Sequence[str]:
    """Cut `text` at its stars, escapes resolved."""
    pieces, piece, position = [], "", 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
            if text[position : position + 1] not in {"*", "\\"}:
                raise ValueError(f"Invalid escape character at pos {position}")
            piece += text[position]
        elif character != "*":
            piece += character
        elif text.startswith("**", position):
            raise ValueError(f"Consecutive wildcard characters at pos {position + 1}")
        else:
            pieces.append(piece)
            piece = ""
        position += 1
    return [*pieces, piece]


def _overlaps(piece: str) -> int:
    """Return how many matches of `piece` can be under way at once: 1 for "abc", 4 for "aaaa"."""
    fallbacks, chains = [0], [1]
    for position in range(1, len(piece)):
        length = fallbacks[-1]
        while length and piece[length] != piece[position]:
            length = fallbacks[length - 1]
        length += piece[length] == piece[position]
        fallbacks.append(length)
        chains.append(1 + (chains[length - 1] if length else 0))
    return max(chains)
