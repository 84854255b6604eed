"""A run on its way from the node that made it to the node whose caller waits for it, as MessagePack."""

from __future__ import annotations

import dataclasses

import msgspec

from eventrouter.rules.outcome import FunctionFailed, Run, RunStatus, Succeeded, SystemFault

LOG_BYTES = 16_384
"""How much of the end of a run's log crosses: the caller may ask for its last 4,096 bytes only. The node that ran it
has recorded all of it."""

_OUTCOMES: dict[str, type[Succeeded | FunctionFailed | SystemFault]] = {
    kind.__name__: kind for kind in (Succeeded, FunctionFailed, SystemFault)
}


def encode_run(run: Run) -> bytes:
    """Return `run` in bytes, for a node of the same release."""
    crossing = dataclasses.replace(run, log=run.log[-LOG_BYTES:])
    return msgspec.msgpack.encode((type(run.outcome).__name__, crossing))


def decode_run(data: bytes) -> Run:
    """Read what `encode_run` made. Raises ValueError for anything else."""
    try:
        kind, fields = msgspec.msgpack.decode(data)
        outcome = _OUTCOMES[kind](**fields.pop("outcome"))
        return Run(outcome=outcome, status=RunStatus(fields.pop("status")), **fields)
    except (KeyError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as error:
        raise ValueError(f"not a run: {error}") from error
