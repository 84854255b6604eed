"""A function's folder as a package: the same bytes for the same files, whenever and wherever it is made."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path

from eventrouter.project.model import FunctionResource, Place, ProjectError
from eventrouter.runtime.packages import NOT_CODE

IGNORE_FILE = ".eventrouterignore"
"""Lines of this file, in the root of the code, name what stays out of the package, as in .gitignore."""
FILES = 20_000
"""More files than this are a mistake: a home folder, a data set."""
UNPACKED_BYTES = 262_144_000
"""250 MB: the largest package when unpacked (lambda-semantics §2.1)."""

_NOT_CODE_SUFFIXES = (".pyc", ".pyo", ".DS_Store")
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""Of a zip's calendar: times of files would make another package of the same code."""
_RUNNABLE, _PLAIN = 0o100755, 0o100644


def package(function: FunctionResource) -> bytes:
    """Return the zip of a function's code. Blocking.

    Code that is an archive already is taken as it is. Raises ProjectError, at the function's declaration, for a folder
    that is none, or too large.
    """
    code = function.code
    if code.is_file():
        if code.suffix not in {".zip", ".jar"}:
            raise ProjectError(function.place, f"the code of {function.name} must be a folder or a .zip: {code}")
        return code.read_bytes()
    if not code.is_dir():
        raise ProjectError(function.place, f"the code of {function.name} is not there: {code}")
    return zip_folder(code, function.place)


def zip_folder(folder: Path, place: Place) -> bytes:
    """Return the zip of a folder. Raises ProjectError at `place` if it is too large."""
    buffer = io.BytesIO()
    size = 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for count, path in enumerate(sorted(code_files(folder, place))):
            content = path.read_bytes()
            size += len(content)
            if count >= FILES or size > UNPACKED_BYTES:
                raise ProjectError(
                    place,
                    f"the code in {folder} is too large for a package (at most {FILES} files of "
                    f"{UNPACKED_BYTES >> 20} MB together): name what does not belong to it in {IGNORE_FILE}",
                )
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _FIRST_DAY)
            entry.external_attr = (_RUNNABLE if os.access(path, os.X_OK) else _PLAIN) << 16
            entry.create_system = 3  # Unix: else the permissions mean nothing
            archive.writestr(entry, content, compress_type=zipfile.ZIP_DEFLATED, compresslevel=6)
    return buffer.getvalue()


def code_files(folder: Path, place: Place) -> Iterator[Path]:
    """Yield every file that belongs to the code in a folder. Links are followed, as imports follow them."""
    ignored = _Ignored(folder, place)
    for directory, below, names in os.walk(folder, followlinks=True):
        relative = Path(directory).relative_to(folder)
        below[:] = [
            name
            for name in below
            if name not in NOT_CODE
            and not ignored.matches(relative / name, is_folder=True)
            and not _leads_back(Path(directory, name))
        ]
        for name in names:
            path = Path(directory, name)
            if name.endswith(_NOT_CODE_SUFFIXES) or ignored.matches(relative / name, is_folder=False):
                continue
            if path.is_file():
                yield path


def _leads_back(path: Path) -> bool:
    """Say whether a folder is a link to one that it lies in."""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


class _Ignored:
    """The patterns of an ignore file."""

    def __init__(self, folder: Path, place: Place) -> None:
        self._patterns: list[tuple[re.Pattern[str], bool, bool]] = []
        file = folder / IGNORE_FILE
        if not file.is_file():
            return
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if text.startswith("!"):
                raise ProjectError(Place(str(file), number), f"{text}: patterns that take back others are not applied")
            is_folder, bare = text.endswith("/"), text.strip("/")
            is_anchored = "/" in text.rstrip("/")
            self._patterns.append((re.compile(translate(bare)), is_anchored, is_folder))

    def matches(self, path: Path, *, is_folder: bool) -> bool:
        return any(
            pattern.match(path.as_posix() if is_anchored else path.name) is not None
            for pattern, is_anchored, folders_only in self._patterns
            if is_folder or not folders_only
        )
