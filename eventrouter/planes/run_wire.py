"""A run on its way from the node that made it to the node whose caller waits for it, as MessagePack."""

from __future__ import annotations

import msgspec

from eventrouter.rules.outcome import Run

LOG_BYTES = 16_384
"""How much of the end of a run's log crosses: the caller may ask for its last 4,096 bytes only. The node that ran it
has recorded all of it."""

_DECODER = msgspec.msgpack.Decoder(Run)


def encode_run(run: Run) -> bytes:
    """Return `run` in bytes, for a node of the same release."""
    return msgspec.msgpack.encode(msgspec.structs.replace(run, log=run.log[-LOG_BYTES:]))


def decode_run(data: bytes) -> Run:
    """Read what `encode_run` made. Raises ValueError for anything else."""
    try:
        return _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a run: {error}") from error
