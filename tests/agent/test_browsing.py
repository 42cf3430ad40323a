"""A turn that browses: permissions by host, the history raw, citations as links for the user."""

from __future__ import annotations

import pytest

from acp_agent.backends.script import Answer, Begin, Drop, Invoke, Preamble, Say, Think
from acp_agent.errors import BackendError
from acp_agent.events import TextDelta
from acp_agent.tools.browser.browser import Browser
from acp_agent.tools.browser.citations import Citations
from acp_agent.tools.browser.hosts import allowed_hosts
from acp_agent.tools.browser.pages import estimated_prefix
from acp_agent.tools.browser.tools import browser_tools
from acp_agent.tools.toolbox import Tools
from tests.agent.conftest import MakeStage
from tests.tools.browser.web import PYTHON, Web

pytestmark = pytest.mark.anyio

SEARCH = Invoke("browser.search", '{"query": "asyncio"}')
OPEN = Invoke("browser.open", '{"id": 0, "cursor": 0}')


class Browsing:
    """A scripted web, and what a stage takes of it."""

    def __init__(self) -> None:
        self.web = Web()
        self.browser = Browser(self.web, self.web, prefix=estimated_prefix)
        self.toolbox = Tools(browser_tools(self.browser, allowed_hosts("")))

    def citations(self) -> Citations:
        return Citations(self.browser.address)


async def test_a_cited_page_is_a_link_for_the_user_and_raw_for_the_model(stage: MakeStage) -> None:
    on = Browsing()
    play = stage(
        [Think("I look."), SEARCH],
        [OPEN],
        [Say("Use it.【1†L4-L5】 Or【0†L4】【9†L1】 not.")],
        answers=["allow_once", "allow_once"],
        toolbox=on.toolbox,
        rewrite=on.citations,
    )
    assert await play.prompt() == "end_turn"
    link = f"([docs.python.org]({PYTHON}0.html))"
    assert play.text() == f"Use it. {link} Or【0†L4】【9†L1】 not."
    assert play.editor.questions[0][1] == "Always allow searches by Scripted in this session"
    assert play.editor.questions[1][1] == "Always allow docs.python.org in this session"
    play.engine.play([Answer([[Say("Done【")]])])
    await play.prompt("and?")
    assert "Use it.【1†L4-L5】 Or" in play.prompt_text()
    assert "<|start|>browser.search to=assistant<|channel|>" in (play.prompt_text())
    assert play.text().endswith("Done【")


async def test_a_host_that_is_always_allowed_is_asked_for_once(stage: MakeStage) -> None:
    on = Browsing()
    on.web.pages[f"{PYTHON}1.html"] = "<p>second"
    other = Invoke("browser.open", '{"id": "https://a.org/"}')
    play = stage(
        [SEARCH],
        [OPEN],
        [Invoke("browser.open", '{"id": 1, "cursor": 0}')],
        [other],
        [Say("Done.")],
        answers=["allow_always", "allow_always", "reject_once"],
        toolbox=on.toolbox,
    )
    assert await play.prompt() == "end_turn"
    assert len(play.editor.questions) == 3
    assert on.web.asked == ["asyncio:10", f"{PYTHON}0.html", f"{PYTHON}1.html"]
    assert "The user rejected this call." in play.prompt_text()


class Loud:
    """Rewrites to capitals, and holds the last piece back."""

    def __init__(self) -> None:
        self.held = ""

    def feed(self, text: str) -> str:
        held, self.held = self.held, text.upper()
        return held

    def finish(self) -> str:
        held, self.held = self.held, ""
        return held


async def test_every_message_is_rewritten_by_itself_and_finished(stage: MakeStage) -> None:
    play = stage(
        [Preamble("one two"), SEARCH],
        [Say("three four")],
        rewrite=Loud,
        label="[x] ",
        approvals="full",
    )
    await play.prompt()
    assert play.text() == "[x] ONE TWOTHREE FOUR"
    ids = [event.message_id for event in play.of(TextDelta)]
    assert ids == sorted(ids)


async def test_what_was_held_back_of_a_broken_answer_stays_in_the_history(stage: MakeStage) -> None:
    play = stage([Begin("half【1†L"), Drop()], rewrite=Browsing().citations)
    with pytest.raises(BackendError):
        await play.prompt()
    assert play.text() == "half"
    play.engine.play([Answer([[Say("ok")]])])
    await play.prompt("again")
    assert "half【1†L" in play.prompt_text()
