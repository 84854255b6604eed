"""Unpacks a function's zip into an empty directory, trusting nothing in it.

Everything a zip can claim is bounded before it is believed: sizes, counts, names, kinds of entries. Symbolic links
are made last, so that no file is ever written through one, and then have to lead to places inside.
Source: lambda-semantics §2.1 (size limits, zip errors).
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from eventrouter.errors import RequestError
from eventrouter.rules.limits import CODE_UNZIPPED_BYTES, CODE_ZIPPED_BYTES

ENTRIES = 100_000
DIRECTORY_MODE = 0o755
NAME_BYTES = 2_048
LINK_BYTES = 1_024

_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_CENTRAL_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 0x1
_CHUNK_BYTES = 1 << 20
_NAME_ERRORS = frozenset({errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EINVAL})
# What zipfile and zlib raise for bytes that are no sound zip.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    UnicodeError,
    ValueError,
)


class _Refused(Exception):
    """The zip asks for something that no package needs."""


def unpack(zip_bytes: bytes, target: Path) -> None:
    """Unpack into `target`, an empty directory. Raises RequestError with AWS's text; `target` is then half full.

    Files can be read by all, and keep being executable; directories are 0755. Blocking: call it in a thread.
    """
    if len(zip_bytes) > CODE_ZIPPED_BYTES:
        message = f"Zipped size must be smaller than {CODE_ZIPPED_BYTES} bytes"
        raise RequestError("RequestEntityTooLargeException", message, status=413)
    if zip_bytes.count(_CENTRAL_ENTRY) > ENTRIES:  # before zipfile makes an object of each
        raise bad_zip()
    try:
        with zipfile.ZipFile(io.BytesIO(zip_bytes)) as archive:
            _unpack(archive, target)
    except (_Refused, *_DAMAGE) as error:
        raise bad_zip() from error


def bad_zip() -> RequestError:
    """Build the error for a file that cannot be unpacked."""
    return RequestError(
        "InvalidParameterValueException",
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
        status=400,
    )


def _unpack(archive: zipfile.ZipFile, target: Path) -> None:
    entries = archive.infolist()
    if not entries:
        message = "Uploaded file must be a non-empty zip"
        raise RequestError("InvalidParameterValueException", message, status=400)
    if sum(entry.file_size for entry in entries) > CODE_UNZIPPED_BYTES:
        message = f"Unzipped size must be smaller than {CODE_UNZIPPED_BYTES} bytes"
        raise RequestError("InvalidParameterValueException", message, status=400)
    directories: set[PurePosixPath] = {PurePosixPath()}
    links: list[tuple[PurePosixPath, str]] = []
    for entry in entries:
        place = _place(entry)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir() or kind == stat.S_IFDIR:
            _make_directory(target, place, directories)
        elif kind == stat.S_IFLNK:
            links.append((place, _link_target(archive, entry)))
        elif kind in {0, stat.S_IFREG}:
            _make_directory(target, place.parent, directories)
            _write(archive, entry, target / place)
        else:
            raise _Refused(f"{entry.filename} is a device, a pipe or a socket")
    for place, destination in links:
        _make_directory(target, place.parent, directories)
        _link(target / place, destination)
    _check_links(target, [place for place, _ in links])


def _place(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return where an entry belongs, below the target. Raises _Refused for a name that leads elsewhere."""
    place = PurePosixPath(entry.filename)
    if place.is_absolute() or ".." in place.parts or len(entry.filename.encode()) > NAME_BYTES:
        raise _Refused(f"{entry.filename[:100]} is no place inside of a package")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        raise _Refused(f"{entry.filename} is encrypted, or compressed in a way that packages are not")
    return place


def _make_directory(target: Path, place: PurePosixPath, made: set[PurePosixPath]) -> None:
    if place in made:
        return
    _make_directory(target, place.parent, made)
    try:
        (target / place).mkdir()
    except OSError as error:
        raise _name_refused(error) from error
    (target / place).chmod(DIRECTORY_MODE)
    made.add(place)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Write one file. zipfile stops at the size that the entry declares and checks its CRC."""
    mode = 0o644 | (entry.external_attr >> 16 & 0o111)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _name_refused(error) from error
    with os.fdopen(fd, "wb") as file:
        with archive.open(entry) as source:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
        os.fchmod(fd, mode)


def _link_target(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    if entry.file_size > LINK_BYTES:
        raise _Refused(f"{entry.filename} is a link to nowhere sensible")
    with archive.open(entry) as source:
        destination = source.read(LINK_BYTES).decode()  # never read(): it would inflate whatever is there first
    if not destination or destination.startswith("/") or "\0" in destination:
        raise _Refused(f"{entry.filename} links to an absolute path")
    return destination


def _link(path: Path, destination: str) -> None:
    try:
        path.symlink_to(destination)
    except OSError as error:
        raise _name_refused(error) from error


def _name_refused(error: OSError) -> Exception:
    """Tell a name that is there twice or cannot be one (refused) from a disk's trouble (stays what it is)."""
    return _Refused(str(error)) if error.errno in _NAME_ERRORS else error


def _check_links(target: Path, places: list[PurePosixPath]) -> None:
    """See where the links really lead, now that all of them are there: one may go through another."""
    root = os.path.realpath(target)
    for place in places:
        end = os.path.realpath(target / place)
        if end != root and not end.startswith(root + "/"):
            raise _Refused(f"{place} links to a place outside of the package")
