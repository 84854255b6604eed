"""Where a function's code is: a folder, an archive, or text in the template itself."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from eventrouter.project.model import Place, ProjectError

MAX_INLINE_BYTES = 4_194_304
"""CloudFormation's limit of `ZipFile`."""

HOT_RELOAD = "hot-reload"


def local_code(folder: Path, text: str, place: Place) -> Path:
    """Return the folder or archive that a path, relative to the template's `folder`, names. Raises ProjectError."""
    if text.startswith("s3://"):
        raise ProjectError(place, f"{text}: packages come from a folder or an archive on this machine")
    path = (folder / text).resolve()
    if path.is_dir() or (path.is_file() and path.suffix in (".zip", ".jar")):
        return path
    found = "is neither a folder nor an archive" if path.exists() else "does not exist"
    raise ProjectError(place, f"{text} {found} (looked at {path})")


def inline_code(text: str, place: Place) -> Path:
    """Return a folder that holds `text` as `index.py`, the name that AWS gives it. Raises ProjectError.

    It lies in the user's cache folder under a name made of the text, so that the same text is the same folder.
    """
    content = text.encode()
    if len(content) > MAX_INLINE_BYTES:
        raise ProjectError(place, f"holds {len(content)} bytes of code; {MAX_INLINE_BYTES} are the most")
    folder = _cache() / hashlib.sha256(content).hexdigest()[:32]
    target = folder / "index.py"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not target.is_file() or target.read_bytes() != content:
            with tempfile.NamedTemporaryFile(dir=folder.parent, delete=False) as draft:
                draft.write(content)
            Path(draft.name).chmod(0o644)
            Path(draft.name).replace(target)
    except OSError as error:
        raise ProjectError(place, f"cannot keep the code in {folder}: {error.strerror}") from error
    return folder


def _cache() -> Path:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = given if given.is_absolute() else Path.home() / ".cache"  # XDG: relative ones are to be ignored
    return base / "eventrouter" / "inline"
