"""Which tools of a session's servers stand in the prompt, under which names, in which order; pure.

A prompt that begins as the last one did is read faster. So a tool that is shown stays where it is
while it exists, and what is new comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from acp_agent.conversation import ToolSpec
from acp_agent.tools.mcp.names import Names, key
from acp_agent.tools.mcp.offer import Offer
from acp_agent.tools.mcp.signature import signature

FRAMING = 4  # tokens around a tool that its signature does not have


@dataclass(frozen=True, slots=True)
class Listing:
    """What one server offers now; `number` counts the servers of a session."""

    number: int
    server: str
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool under its public name."""

    name: str
    number: int
    server: str
    offer: Offer

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, self.offer.description, self.offer.parameters)


class Catalog:
    """The tools of all servers; `budget` is what the shown ones may cost, by `count`, in tokens."""

    def __init__(self, budget: int, count: Callable[[str], int], finder: ToolSpec) -> None:
        self.specs: tuple[ToolSpec, ...] = ()
        self._budget = budget
        self._count = count
        self._finder = finder
        self._names = Names()
        self._entries: dict[str, Entry] = {}
        self._costs: dict[str, int] = {}
        self._order: list[str] = []

    @property
    def deferred(self) -> tuple[Entry, ...]:
        """The tools that only `find_tool` tells of."""
        hidden = {spec.name for spec in self.specs if spec.deferred}
        return tuple(entry for name, entry in self._entries.items() if name in hidden)

    def update(self, listings: Sequence[Listing]) -> None:
        """Take what the servers offer now; `count` may take its time the first time."""
        entries = {entry.name: entry for listing in listings for entry in self._named(listing)}
        if entries == self._entries:
            return
        self._entries = entries
        kept = [name for name in self._order if name in entries]
        self._order = kept + [name for name in _in_turns(entries) if name not in set(kept)]
        self._choose()

    def find(self, recipient: str) -> Entry | None:
        """Return the tool that `recipient` means, by its full name or by one that is unique."""
        wanted = key(recipient)
        for name, entry in self._entries.items():
            if key(name) == wanted:
                return entry
        bare = [entry for entry in self._entries.values() if key(entry.offer.name) == wanted]
        return bare[0] if len(bare) == 1 and wanted else None

    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def _named(self, listing: Listing) -> list[Entry]:
        number, server = listing.number, listing.server
        return [
            Entry(self._names.name(number, server, offer.name), number, server, offer)
            for offer in listing.offers
        ]

    def _choose(self) -> None:
        specs = [self._entries[name].spec for name in self._order]
        costs = [self._cost(spec) for spec in specs]
        if sum(costs) <= self._budget:
            self.specs = tuple(specs)
            return
        room = self._budget - self._cost(self._finder)
        shown: list[ToolSpec] = []
        hidden: list[ToolSpec] = []
        for spec, cost in zip(specs, costs, strict=True):
            if cost <= room:
                room -= cost
                shown.append(spec)
            else:
                hidden.append(_deferred(spec))
        self.specs = (self._finder, *shown, *hidden)

    def _cost(self, spec: ToolSpec) -> int:
        text = signature(spec)
        if text not in self._costs:
            self._costs[text] = self._count(text) + FRAMING
        return self._costs[text]


def _deferred(spec: ToolSpec) -> ToolSpec:
    return ToolSpec(spec.name, spec.description, spec.parameters, deferred=True)


def _in_turns(entries: dict[str, Entry]) -> list[str]:
    """Return the names, one of each server in turn: servers list first what matters most."""
    queues: dict[int, list[str]] = {}
    for name, entry in entries.items():
        queues.setdefault(entry.number, []).append(name)
    rows = zip_longest(*queues.values())
    return [name for row in rows for name in row if name is not None]
