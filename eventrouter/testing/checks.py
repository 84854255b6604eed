"""What a test may claim about a router's past; a claim that does not hold says why, with the timeline and the seed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

import msgspec

from eventrouter.journal import Decision
from eventrouter.planes.explain import Explanation
from eventrouter.testing.history import Explained, History
from eventrouter.testing.order import (
    Breach,
    KeyOf,
    key_function,
    message_group,
    order_breach,
    overlap,
    partition_key,
)
from eventrouter.testing.resources import DeadLetter, TestFunction
from eventrouter.testing.runs import TestRun

if TYPE_CHECKING:
    from eventrouter.testing.router import Router

MOST_SHOWN = 20
"""So many of what is lost are named."""


class Checks:
    """The claims, and what they show."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def history(self, subject: TestFunction | str | None = None) -> History:
        """Return all decisions, or those about a function, an id, a queue mapping's uuid or a shard."""
        journal = self._router.journal
        if subject is None:
            return self._shown(journal.since())
        if not isinstance(subject, TestFunction):
            return self._shown(journal.of(subject))
        about = {run.request_id for run in subject.runs}
        about.update(each.subject for each in journal.since() if each.facts.get("function") == subject.name)
        return self._shown(journal.of(*about))

    def _shown(self, decisions: Sequence[Decision]) -> History:
        return History(decisions, self._router.start_ms)

    def explain(self, subject: str) -> Explained:
        """Explain one thing as `eventrouter explain` does. Raises AssertionError if nothing is known of it."""
        path = f"{self._router.url}/_eventrouter/explain/{quote(subject, safe='')}"
        status, _, body = self._router.answer("GET", path, {}, b"")
        if status != 200:
            raise AssertionError(f"nothing is known of {subject}")
        told = msgspec.json.decode(body, type=Explanation)
        history = self.history(subject)
        return Explained(told.id, told.kind, told.now, history, [each.text for each in told.ahead], told.notes)

    def assert_order(self, by: str | KeyOf, function: TestFunction | str | None) -> None:
        """See `Router.assert_order`."""
        __tracebackhide__ = True
        ranks = {each.id: each.number for each in self._router.intake}
        breach = order_breach(self._runs(function), key_function(by), ranks)
        if breach is not None:
            self._fail_breach(breach)

    def assert_no_overlap(self) -> None:
        """See `Router.assert_no_overlap`."""
        __tracebackhide__ = True
        factors = self._router.parallelization()

        def lanes_of(run: TestRun) -> Iterator[Hashable]:
            yield f"event {run.request_id}"
            for record in run.records:
                place = (run.function, record.get("eventSourceARN"))
                if (group := message_group(record)) is not None:
                    yield (*place, f"message group {group}")
                elif (key := partition_key(record)) is not None:
                    yield (*place, f"partition key {key}")
                    if factors.get(place, 1) == 1:
                        yield (*place, record["eventID"].rpartition(":")[0])

        breach = overlap(self._router.runs, lambda run: set(lanes_of(run)))
        if breach is not None:
            self._fail_breach(breach)

    def assert_no_loss(self) -> None:
        """See `Router.assert_no_loss`."""
        __tracebackhide__ = True
        lost = self._router.look_for_loss()
        if lost:
            shown = lost[:MOST_SHOWN]
            texts = [each.text for each in shown]
            if len(lost) > len(shown):
                texts.append(f"and {len(lost) - len(shown)} more")
            self.fail("\n".join(texts), [each.id for each in shown])

    def assert_dead_lettered(self, queue: str, letters: list[DeadLetter], count: int | None, code: str | None) -> None:
        """See `Router.assert_dead_lettered`."""
        __tracebackhide__ = True
        found = [letter for letter in letters if code is None or letter.error_code == code]
        if (found and count is None) or len(found) == count:
            return
        wanted = "at least one" if count is None else str(count)
        with_code = "" if code is None else f" with the error code {code}"
        listed = "\n".join(f"  {letter}" for letter in letters)
        about = [letter.request_id for letter in letters if letter.request_id]
        self.fail(f"{queue} holds {len(found)} dead letters{with_code}, not {wanted}\n{listed}".rstrip(), about)

    def fail(self, text: str, subjects: Iterable[str] = ()) -> NoReturn:
        """Raise AssertionError with the timeline of what it concerns; of everything, if that is nothing."""
        __tracebackhide__ = True
        wanted = list(subjects)
        journal = self._router.journal
        timeline = self._shown(journal.of(*wanted) if wanted else journal.since()).timeline
        raise AssertionError(f"{text}\n\nseed {self._router.seed}; what happened, in virtual seconds:\n{timeline}")

    def _fail_breach(self, breach: Breach) -> NoReturn:
        __tracebackhide__ = True
        runs = "\n".join(f"  {_shown(run)}" for run in breach.runs)
        self.fail(f"{breach.text}\n{runs}", [run.request_id for run in breach.runs])

    def _runs(self, function: TestFunction | str | None) -> Iterable[TestRun]:
        if function is None:
            return self._router.runs
        return self._router.runs.of(function.name if isinstance(function, TestFunction) else function)


def _shown(run: TestRun) -> str:
    until = "" if run.ended_s is None else f" to {run.ended_s:g}"
    return f"{run.function} ran for {run.request_id} from {run.began_s:g}{until} s: {run.outcome}"
