"""Arguments of a tool whose call is no JSON but the text itself, such as `python`'s code."""

from __future__ import annotations

from pydantic import BaseModel


class RawBody(BaseModel):
    """The body of the call, as the model wrote it."""

    body: str
