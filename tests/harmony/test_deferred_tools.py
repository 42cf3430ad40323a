"""Tools that stand in no prompt and can be called all the same."""

from __future__ import annotations

import json
from datetime import date

from acp_agent.backends.chat_wire import chat_body
from acp_agent.backends.profiles import ChatProfile
from acp_agent.conversation import ModelRequest, ToolMessage, ToolSpec, UserMessage
from acp_agent.harmony.codec import Codec
from acp_agent.harmony.grammar import header_guard
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.tools.mcp.catalog import Entry
from acp_agent.tools.mcp.finding import told
from acp_agent.tools.mcp.offer import make_offer

SHOWN = ToolSpec("find_tool", "Find.", {"type": "object", "properties": {}})
HIDDEN = ToolSpec("s__hidden", "Hide.", {"type": "object", "properties": {}}, deferred=True)
REQUEST = ModelRequest([UserMessage("hi")], tools=(SHOWN, HIDDEN))


def test_a_deferred_tool_stands_in_no_prompt_but_may_be_called() -> None:
    vocabulary = load_vocabulary()
    prompt = vocabulary.decode(Codec(vocabulary).prompt(REQUEST, date(2026, 1, 1)))
    assert "find_tool" in prompt and "hidden" not in prompt
    assert '"functions.s__hidden"' in header_guard([tool.name for tool in REQUEST.tools])


def test_a_chat_server_is_told_of_it_once_it_was_found() -> None:
    body = json.dumps(chat_body(REQUEST, "m", ChatProfile("any")))
    assert "find_tool" in body and "hidden" not in body
    offer = make_offer("hidden", "", "Hide.", {"type": "object"}, reads=False)
    entry = Entry("s__hidden", 0, "s", offer)
    for found, declared in (((entry,), True), ((), False)):
        answer = ToolMessage("functions.find_tool", told(found, (entry,), "hide"))
        request = ModelRequest([UserMessage("hi"), answer], tools=(SHOWN, HIDDEN))
        assert request.told_tools == ((SHOWN, HIDDEN) if declared else (SHOWN,))
        assert request.shown_tools == (SHOWN,)
        body = json.dumps(chat_body(request, "m", ChatProfile("any")))
        assert ('"name": "s__hidden"' in body) is declared
