"""Tools of MCP servers: connected beside the session, offered as `functions.<server>__<tool>`.

`mcp` costs half a second to import; only `connection` and what it imports do so, and they are
imported in a thread, when a session has servers.
"""
