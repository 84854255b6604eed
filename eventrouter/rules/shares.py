"""Who owns which unit of work: an even share for every node, the same answer wherever it is asked.

Rendezvous hashing with quotas. Each node scores each unit by a hash of both; the best pairs are granted first, until
a node has its share. Nodes that join or leave move little more than their own share.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

_SCORE_BYTES = 8


def fair_shares(units: Iterable[str], nodes: Iterable[str]) -> dict[str, str]:
    """Return the node of each unit; nothing if there are no nodes.

    Every node gets U/N of the units, rounded up or down. Depends on the sets alone, not on their order. Costs about
    1 µs per pair of unit and node.
    """
    wanted = sorted(set(units))
    members = sorted(set(nodes))
    if not members:
        return {}
    share, extras = divmod(len(wanted), len(members))
    load = dict.fromkeys(members, 0)
    owners: dict[str, str] = {}
    for _, unit, node in sorted(_scores(wanted, members), reverse=True):
        if unit in owners or load[node] > share or (load[node] == share and not extras):
            continue
        extras -= load[node] == share
        load[node] += 1
        owners[unit] = node
    return owners


def _scores(units: list[str], nodes: list[str]) -> Iterable[tuple[bytes, str, str]]:
    for node in nodes:
        seeded = blake2b(node.encode() + b"\0", digest_size=_SCORE_BYTES)
        for unit in units:
            score = seeded.copy()
            score.update(unit.encode())
            yield score.digest(), unit, node
