"""What every verb about models works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acp_agent.models.base import InstallFailed
from acp_agent.models.catalog import Catalog
from acp_agent.models.manifest import Manifest
from acp_agent.models.names import check_name
from acp_agent.models.store import Standing, Store
from acp_agent.verbs.telling import Teller


@dataclass(frozen=True, slots=True)
class Desk:
    """The store, the catalog, the variables of the Hub, and who speaks."""

    store: Store
    catalog: Catalog
    environ: Mapping[str, str]
    tell: Teller

    def standing(self, name: str) -> Standing:
        """Return how a model stands that is there. Raises InstallFailed."""
        try:
            checked = check_name(name.strip())
        except ValueError as error:
            raise InstallFailed(str(error)) from None
        there = {known.lower(): known for known in self.store.names()}
        known = there.get(checked.lower().removesuffix(":mxfp4"))
        if known is not None:
            return self.store.standing(known)
        if self.catalog.find(checked):
            advice = f"install it with: acp-agent models install {checked}"
        else:
            shown = ", ".join(there.values())
            advice = f"installed: {shown or 'none'}; {self.catalog.nearest(checked)}"
        raise InstallFailed(f"{checked!r} is not installed; {advice}")

    def manifest(self, name: str) -> Manifest:
        """Return the manifest of an installed model. Raises InstallFailed."""
        standing = self.standing(name)
        if standing.manifest is not None:
            return standing.manifest
        if standing.newer:
            raise InstallFailed(f"{standing.name} is left as it is: {standing.why}")
        why = standing.why or "its download was broken off"
        raise InstallFailed(
            f"{standing.name} is not whole: {why}; go on with:"
            f" acp-agent models install {standing.name}"
        )

    def waiting(self, name: str) -> None:
        """Say that another does the same now."""
        text = f"{name} is being worked on by another acp-agent; waiting for it"
        self.tell.note("waiting", text, name=name)
