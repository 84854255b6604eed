"""Explains one thing: what happened to it and by which rules, where it stands, and what is to come.

The past is in the journals of all living nodes, and is merged here; the present and the future are `planes.standing`.
What one node has noted may lead on to another: an event's record is delivered where there is time for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from eventrouter.journal import Decision, Fact, Journal
from eventrouter.planes.standing import Standings
from eventrouter.rules.explain import Step
from eventrouter.rules.outlook import Ahead

ROUNDS = 4
"""So often what was found may lead on to another node: a batch, its invocation, what was given up, its delivery."""
MOST_TOLD = 1_000
"""Decisions that one node tells of one thing: the newest ones."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """A decision as it is told: of which node, under which number there, and its rule as a sentence.

    `members` counts what is in the batch.
    """

    at_ms: int
    subject: str
    step: Step
    rule: str
    topic: str
    node: str
    number: int
    facts: Mapping[str, Fact] = {}
    links: Sequence[str] = ()
    members: int = 0


class History(msgspec.Struct, frozen=True):
    """What one node tells. `forgotten`: how many decisions its journal has let go of, about whatever."""

    node: str
    forgotten: int
    decisions: Sequence[Told]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known about one thing. `notes` are what a reader should know besides."""

    id: str
    kind: str
    now: str
    history: Sequence[Told]
    ahead: Sequence[Ahead]
    notes: Sequence[str]


Ask = Callable[[Sequence[str]], Awaitable[tuple[Sequence[History], Sequence[str]]]]
"""Asks all other nodes what they know of some subjects; returns that, and the nodes that did not answer."""


class Explainer:
    """Answers for the whole installation."""

    def __init__(self, *, journal: Journal, node: Callable[[], str], standings: Standings, ask: Ask) -> None:
        self._journal = journal
        self._node = node
        self._standings = standings
        self._ask = ask

    def history(self, subjects: Sequence[str]) -> History:
        """Return what this node knows of some subjects."""
        decisions = self._journal.numbered(*subjects)[-MOST_TOLD:]
        return self._told(decisions)

    def since(self, number: int, limit: int) -> History:
        """Return what this node has decided, from its `number`-th decision on."""
        first = max(number, self._journal.first)
        return self._told(list(enumerate(self._journal.since(number, limit=limit), first)))

    async def explain(self, subject: str) -> Explanation | None:
        """Explain one thing; None if nobody knows it. Raises Unavailable."""
        await self._standings.refresh()
        asked = self._standings.function_key(subject) or subject
        told, forgotten, silent = await self._gather(asked)
        standing = await self._standings.of(subject, {each.subject for each in told} | _places(told))
        if standing is None and not told:
            return None
        notes = list(standing.notes) if standing is not None else []
        notes += [f"Node {node} did not answer: what it did is missing here." for node in silent]
        if forgotten:
            notes.append(f"Nodes remember their newest decisions only: {forgotten} earlier ones are forgotten.")
        return Explanation(
            id=subject,
            kind="invocation" if standing is None else standing.kind,
            now=_outcome(told) if standing is None else standing.now,
            history=told,
            ahead=() if standing is None else standing.ahead,
            notes=notes,
        )

    async def _gather(self, subject: str) -> tuple[list[Told], int, Sequence[str]]:
        """Return what all nodes know, in order, how much they have forgotten, and who did not answer."""
        subjects = {subject}
        told, forgotten, silent = await self._ask_all([subject])
        for _ in range(ROUNDS - 1):
            found = subjects.union(*(each.links for each in told))
            if found == subjects:
                break
            subjects = found
            told, forgotten, silent = await self._ask_all(sorted(subjects))
        told.sort(key=lambda each: (each.at_ms, each.node, each.number))
        return told, forgotten, silent

    async def _ask_all(self, subjects: Sequence[str]) -> tuple[list[Told], int, Sequence[str]]:
        others, silent = await self._ask(subjects)
        histories = [self.history(subjects), *others]
        told = [each for history in histories for each in history.decisions]
        return told, sum(history.forgotten for history in histories), silent

    def _told(self, decisions: Sequence[tuple[int, Decision]]) -> History:
        node = self._node()
        told = [
            Told(
                at_ms=decision.at_ms,
                subject=decision.subject,
                step=decision.step,
                rule=decision.rule,
                topic=decision.why.topic,
                node=node,
                number=number,
                facts=decision.facts,
                links=decision.links,
                members=len(decision.members),
            )
            for number, decision in decisions
        ]
        return History(node, self._journal.first, told)


def _places(told: Sequence[Told]) -> set[str]:
    """Return where messages went, as ARNs."""
    return {place for each in told if isinstance(place := each.facts.get("to"), str)}


def _outcome(told: Sequence[Told]) -> str:
    """Say how something ended that the store does not know any more."""
    return f"over, or not stored: {told[-1].step.value.replace('_', ' ')} is the last that is known"
