"""A node's place among the others: it buries its former self, joins anew, hears of them, and has duties."""

from __future__ import annotations

from contextlib import AsyncExitStack
from random import Random
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from eventrouter import __version__
from eventrouter.clock import Clock
from eventrouter.data_dir import DataDir, Identity
from eventrouter.peers import is_isolated
from eventrouter.planes.duties import Duties
from eventrouter.planes.loops import Loops
from eventrouter.planes.membership import Membership
from eventrouter.planes.nudges import Nudges
from eventrouter.ports import Environments
from eventrouter.settings import Role, Settings
from eventrouter.store import HostInfo, Store


class Place(NamedTuple):
    """What a node is to the others, and what they are to it."""

    membership: Membership
    nudges: Nudges
    duties: Duties


async def take_place(
    stack: AsyncExitStack,
    *,
    settings: Settings,
    data_dir: DataDir,
    store: Store,
    environments: Environments,
    beats: Loops,
    machine: Clock,
    url: str,
    started_at_ms: int,
    random: Random,
    log: FilteringBoundLogger,
) -> Place:
    """Bury this host's former self, whose environments are gone, and join as a new incarnation.

    It has no share of anything until its duties begin. `stack` takes what ends with the node.
    """
    identity = data_dir.identity(new_host=f"{random.getrandbits(48):012x}")
    if identity.incarnation is not None and await store.hosts.bury(identity.incarnation, None):
        requeued = await store.hosts.reap(identity.incarnation)
        log.info("node.recovered", incarnation=identity.incarnation, events=requeued)

    def new_incarnation() -> str:
        incarnation = f"{identity.host}-{random.getrandbits(64):016x}"
        data_dir.remember(Identity(host=identity.host, incarnation=incarnation))
        return incarnation

    roles = frozenset(role for role in Role if settings.has_role(role))
    info = HostInfo(
        url=url, started_at_ms=started_at_ms, version=__version__, is_draining=True, roles=tuple(sorted(roles))
    )
    membership = Membership(
        hosts=store.hosts,
        refresh=store.refresh,
        slots=store.slots,
        environments=environments,
        loops=beats,
        clock=machine,
        log=log,
        info=info,
        new_incarnation=new_incarnation,
        is_isolated=is_isolated,
    )

    def forget_incarnation() -> None:
        if membership.has_left:  # nothing of it is left for the next start to recover
            data_dir.remember(Identity(host=identity.host))

    stack.callback(forget_incarnation)
    await stack.enter_async_context(membership)
    nudges = Nudges(incarnation=lambda: membership.incarnation, inbox=store.inbox, log=log)
    stack.push_async_callback(nudges.close)
    membership.on_look(nudges.see)
    nudges.on_look(membership.look_soon)
    return Place(membership, nudges, Duties(roles=roles, membership=membership, nudges=nudges))
