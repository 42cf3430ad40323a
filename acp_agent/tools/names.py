"""Which tool a recipient means: models slip in names, in ways that are known."""

from __future__ import annotations

import json
from collections.abc import Collection

from acp_agent.errors import ToolFailed

_ALIASES = {
    alias: name
    for name, aliases in {
        "shell": "exec bash sh run run_command run_shell_command exec_command execute terminal"
        " container_exec local_shell run_terminal_cmd execute_command",
        "read_file": "read open open_file cat view view_file read_text_file get_file",
        "list_files": "list ls tree print_tree list_dir list_directory listdir",
        "search_files": "search grep rg ripgrep grep_search find_in_files search_file_contents",
        "apply_patch": "applypatch patch edit edit_file update_file",
        "write_file": "write create_file write_text_file save_file",
        "update_plan": "plan todo todo_write todowrite write_todos",
    }.items()
    for alias in aliases.split()
}


def resolve(recipient: str, offered: Collection[str]) -> str:
    """Return the name of the offered tool that `recipient` means. Raises ToolFailed."""
    plain = recipient.partition("<|")[0].strip().strip("\"'`")
    built_in = _of_browser(plain, offered)
    if built_in:
        return built_in
    bare = plain.rpartition(".")[2].rpartition("/")[2].replace("-", "_").lower()
    for name in (bare, _ALIASES.get(bare, "")):
        if name in offered:
            return name
    raise ToolFailed(_unknown(recipient, offered))


def _unknown(recipient: str, offered: Collection[str]) -> str:
    known = ", ".join(name if "." in name else f"functions.{name}" for name in offered)
    return f"unknown tool {recipient[:80]!r}; tools on offer: {known}"


def _of_browser(plain: str, offered: Collection[str]) -> str:
    """Return the function of the built-in `browser` that is meant, "" if it is another tool."""
    name = plain.lower().removeprefix("functions.").replace("browser_", "browser.", 1)
    if name in offered:
        return name
    namespace, dot, function = name.partition(".")
    if namespace != "browser":
        return ""
    if not any(tool.startswith("browser.") for tool in offered):
        raise ToolFailed(_unknown(plain, offered))  # and no other tool called `search`
    if not dot:
        raise ToolFailed("browser is no function; call browser.search, browser.open, browser.find")
    raise ToolFailed(json.dumps({"error": f"Unknown function: {function[:80]}"}))
