"""Packages: sound ones, and zips that lie, lead outside, or become more than anything should."""

from __future__ import annotations

import io
import stat
import struct
import zipfile

ECHO = "def handler(event, context):\n    return event\n"


def a_zip(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Build a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def _linked(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, target.encode()


def _special(name: str, kind: int) -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (kind | 0o666) << 16
    return entry, b""


def a_bomb(megabytes: int) -> bytes:
    """Build a zip of one file of zeros, a thousand times smaller than the file."""
    return a_zip(("bomb", bytes(megabytes << 20)))


def _lying(data: bytes, at: int, value: bytes) -> bytes:
    """Change bytes of the central directory's first entry."""
    start = data.index(b"PK\x01\x02") + at
    return data[:start] + value + data[start + len(value) :]


def _overlapping(count: int) -> bytes:
    """Build a zip whose entries all are the same bytes: the kind of bomb that needs no nesting."""
    sound = a_zip(("a", bytes(1 << 20)))
    at = sound.index(b"PK\x01\x02")
    end = sound.index(b"PK\x05\x06")
    entry = sound[at:end]
    names = [entry[:28] + struct.pack("<H", 5) + entry[30:46] + b"%05d" % number for number in range(count)]
    central = b"".join(names)
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(central), at, 0)
    return sound[:at] + central + tail


_SOUND = a_zip(("app.py", ECHO.encode()))

PACKAGES = (
    _SOUND,
    a_zip(("app.py", b"def handler(event, context):\n    raise ValueError(event)\n")),
    a_zip(("app.py", b"import nothing_of_the_kind\n")),
    a_zip(("app.py", b"def handler(event, context):\n    return object()\n"), ("b/c.txt", b"x")),
    a_zip(("app.py", ECHO.encode()), method=zipfile.ZIP_STORED),
)

HOSTILE_PACKAGES = (
    b"",
    b"PK",
    b"PK\x05\x06" + bytes(18),
    _SOUND[:-10],
    _SOUND[10:],
    _SOUND + _SOUND,
    b"#!/bin/sh\n" + _SOUND,
    a_zip(),
    a_zip(("../outside.py", b"x")),
    a_zip(("/etc/outside", b"x")),
    a_zip(("a\\..\\..\\b", b"x")),
    a_zip(("a" * 300, b"x")),
    a_zip(("/".join("d" * 1_500), b"x")),
    a_zip(("a", b"x"), ("a/b", b"y")),
    a_zip(("a/b", b"x"), ("a", b"y")),
    a_zip(("ä\u202e.py", b"x"), ("con:", b"x")),
    a_zip(_linked("link", "/etc/passwd")),
    a_zip(_linked("link", "../.."), ("link/out", b"x")),
    a_zip(_linked("a", "b"), _linked("b", "a")),
    a_zip(_special("fifo", stat.S_IFIFO), _special("null", stat.S_IFCHR)),
    a_zip(("app.py", ECHO.encode()), method=zipfile.ZIP_BZIP2),
    a_zip(("app.py", ECHO.encode()), method=zipfile.ZIP_LZMA),
    _lying(_SOUND, 8, b"\x01\x00"),  # says that it is encrypted
    _lying(_SOUND, 10, b"\x63\x00"),  # a method nobody knows
    _lying(_SOUND, 16, b"\0\0\0\0"),  # a wrong checksum
    _lying(_SOUND, 20, b"\xff\xff\xff\xff"),  # sizes that are not there
    _lying(_SOUND, 24, b"\xff\xff\xff\x7f"),
    _lying(_SOUND, 28, b"\xff\xff"),
    _lying(_SOUND, 42, b"\xff\xff\xff\xff"),  # a place beyond the end
    _lying(a_bomb(2), 24, b"\x01\0\0\0"),  # smaller than it is
    _overlapping(400),
    a_zip(("inner.zip", a_bomb(8))),
)
