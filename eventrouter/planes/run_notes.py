"""How the begin and the end of a run are noted in the journal, whichever plane asked for it.

This happens for every run, so what can be made once is: a member of an enum is looked up slowly.
"""

from __future__ import annotations

from functools import lru_cache

from eventrouter.journal import Facts, Journal
from eventrouter.rules.explain import Rule
from eventrouter.rules.outcome import FunctionFailed, Run, RunStatus, Succeeded

_INVOKED = Rule.INVOKED
_SUCCEEDED = Rule.SUCCEEDED


def note_begin(journal: Journal, request_id: str, function: str, version: str, attempt: int | None = None) -> None:
    """Note that a run begins here; of an asynchronous event, its `attempt`, counted from 1."""
    journal.note(request_id, _INVOKED, _begun(function, version, attempt))


@lru_cache(maxsize=1_024)
def _begun(function: str, version: str, attempt: int | None) -> Facts:
    facts = {"function": function, "version": version}
    return facts if attempt is None else {**facts, "attempt": attempt}


def note_end(journal: Journal, request_id: str, run: Run) -> None:
    """Note what a run that was begun here has come to."""
    outcome = run.outcome
    if isinstance(outcome, Succeeded):
        journal.note(request_id, _SUCCEEDED, {"duration_ms": run.duration_ms, "environment": run.log_stream})
    elif isinstance(outcome, FunctionFailed):
        why = Rule.TIMED_OUT if run.status is RunStatus.TIMEOUT else Rule.FAILED
        journal.note(
            request_id,
            why,
            {"duration_ms": run.duration_ms, "environment": run.log_stream, "error": outcome.error_type},
        )
    else:
        journal.note(request_id, Rule.FAULTED, {"reason": outcome.message})
