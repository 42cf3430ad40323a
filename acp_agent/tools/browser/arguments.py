"""The arguments of the browser's functions, as gpt-oss was trained to write them."""

from __future__ import annotations

import json
from typing import Any, TypeVar, cast

from pydantic import AliasChoices, BaseModel, Field

from acp_agent.errors import ToolFailed
from acp_agent.tools.call_arguments import parse_arguments
from acp_agent.tools.raw_body import RawBody

INVALID = json.dumps({"error": "Invalid function arguments"})

M = TypeVar("M", bound=BaseModel)


class SearchArguments(BaseModel):
    """`source` is web, the only one that is declared."""

    query: str
    topn: int = 10
    source: str = ""


class OpenArguments(BaseModel):
    """A number is a link of the page at `cursor`, a text is a URL; negative is not given.

    An address that comes as `url` is one.
    """

    id: int | str = Field(-1, validation_alias=AliasChoices("id", "url"))
    cursor: int = -1
    loc: int = -1
    num_lines: int = -1
    view_source: bool = False
    source: str = ""


class FindArguments(BaseModel):
    """The pattern is plain text, and in which case it is written does not matter."""

    pattern: str
    cursor: int = -1


def read_arguments(name: str, model: type[M], call: BaseModel) -> M:
    """Return the JSON body of a call as `model`; null is as good as left out.

    Raises:
        ToolFailed: It is no JSON object, told in the words of training; or a value is missing or
            wrong. Unknown names are passed over.

    """
    body = RawBody.model_validate(call).body
    try:
        values = cast("object", json.JSONDecoder(strict=False).decode(body.strip() or "{}"))
    except (ValueError, RecursionError):
        raise ToolFailed(INVALID) from None
    if not isinstance(values, dict):
        raise ToolFailed(INVALID)
    given = {k: v for k, v in cast("dict[str, Any]", values).items() if v is not None}
    return cast("M", parse_arguments(name, model, json.dumps(given)))
