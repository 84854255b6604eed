"""On which line each key of a TOML file stands: the standard library's parser gives values only.

The text has been parsed before, so this scanner looks for where things end and checks nothing.
"""

from __future__ import annotations

import re
import tomllib

KeyPath = tuple[str | int, ...]
"""Keys, and the indices of arrays, from the root down: `("mappings", 0, "source")`."""

_STRING = r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'"
_VALUE_STRING = re.compile(_STRING, re.DOTALL)
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}\n#]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, of every key, table and element of `text`, which is valid TOML."""
    scanner = _Scanner(text)
    scanner.read_document()
    return scanner.lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """Return the line of `path`, or of the nearest thing around it that has one (0: nothing has)."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted = (0, 1)
        """How far lines have been counted, and which line that was."""
        self._last: dict[KeyPath, int] = {}
        """Arrays of tables, and the index of their last element."""
        self.lines: dict[KeyPath, int] = {}

    def read_document(self) -> None:
        table: KeyPath = ()
        while self._skip_blank():
            if self._text[self._at] == "[":
                table = self._read_header()
            else:
                self._read_pair(table)

    def _read_header(self) -> KeyPath:
        line = self._line()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        keys = self._read_keys()
        self._at = self._text.index("]", self._at) + (2 if is_array else 1)
        path = self._within(keys[:-1])
        path = (*path, keys[-1])
        if is_array:
            self.lines.setdefault(path, line)
            self._last[path] = self._last.get(path, -1) + 1
        if path in self._last:
            path = (*path, self._last[path])
        self._note(path, line)
        return path

    def _within(self, keys: list[str]) -> KeyPath:
        """Return the path that `keys` of a header stand for: an array of tables means its last element."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._last:
                path = (*path, self._last[path])
        return path

    def _read_pair(self, table: KeyPath) -> None:
        line = self._line()
        path = (*table, *self._read_keys())
        self._note(path, line)
        self._at = self._text.index("=", self._at) + 1
        self._read_value(path)

    def _note(self, path: KeyPath, line: int) -> None:
        for size in range(1, len(path) + 1):
            self.lines.setdefault(path[:size], line)

    def _read_keys(self) -> list[str]:
        """Read a key such as `a."b.c"`; what follows it is the next to be read."""
        keys: list[str] = []
        while True:
            self._skip_blank()
            match = _KEY.match(self._text, self._at)
            assert match is not None, "TOML that parses has a key here"
            self._at = match.end()
            keys.append(tomllib.loads(f"k = {match[0]}")["k"] if match[0][0] in "\"'" else match[0])
            self._skip_blank()
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _read_value(self, path: KeyPath) -> None:
        self._skip_blank()
        opening = self._text[self._at]
        if opening == "[":
            self._at += 1
            self._read_elements(path)
        elif opening == "{":
            self._at += 1
            while self._more("}"):
                self._read_pair(path)
        else:
            match = _VALUE_STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            assert match is not None, "TOML that parses has a value here"
            self._at = match.end()

    def _read_elements(self, path: KeyPath) -> None:
        index = 0
        while self._more("]"):
            self._note((*path, index), self._line())
            self._read_value((*path, index))
            index += 1

    def _more(self, closing: str) -> bool:
        """Go to the next element of an array or inline table, or behind its end."""
        self._skip_blank()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip_blank()
        if self._text[self._at] != closing:
            return True
        self._at += 1
        return False

    def _skip_blank(self) -> bool:
        match = _BLANK.match(self._text, self._at)
        assert match is not None, "it may be empty"
        self._at = match.end()
        return self._at < len(self._text)

    def _line(self) -> int:
        at, line = self._counted
        line += self._text.count("\n", at, self._at)
        self._counted = (self._at, line)
        return line
