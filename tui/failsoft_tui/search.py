"""The palette: every action of the screen, found by name."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from failsoft_tui.actions import ACTIONS, Action

__all__ = ["ActionProvider"]


class ActionProvider(Provider):
    """Offers the actions whose bindings are live on the screen below."""

    def _live(self) -> list[tuple[Action, str, object]]:
        bound = {b.binding.id: b for b in self.screen.active_bindings.values()}
        return [
            (action, f"{action.help}  ({action.shown})", bound[action.id].node)
            for action in ACTIONS
            if action.id in bound
        ]

    async def discover(self) -> Hits:
        """Offer everything."""
        for action, text, node in self._live():
            run = partial(self.app.run_action, action.name, node)  # type: ignore[arg-type]
            yield DiscoveryHit(Content(text), run, text=text)

    async def search(self, query: str) -> Hits:
        """Offer what matches."""
        matcher = self.matcher(query)
        for action, text, node in self._live():
            score = matcher.match(text)
            if score > 0:
                run = partial(self.app.run_action, action.name, node)  # type: ignore[arg-type]
                yield Hit(score, Content(text), run, text=text)
