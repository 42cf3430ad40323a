"""`acp-agent route`: says who would answer a prompt and why; runs no model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO, cast

from acp_agent.errors import ConfigError
from acp_agent.routing.decide import Decision, decide
from acp_agent.routing.facts import Resource, SessionFacts
from acp_agent.routing.gather import gather
from acp_agent.routing.load import load_rubric
from acp_agent.routing.rubric import Rubric

Count = Callable[[str], int]


class BadLine(ValueError):
    """A line of the input cannot be routed; the text says why."""


def run_route(
    prompt: str | None,
    *,
    as_json: bool,
    as_lines: bool,
    rubric: Path | None = None,
    default_if_broken: bool = False,
    source: TextIO = sys.stdin,
    out: TextIO = sys.stdout,
) -> int:
    """Route one prompt, or with `as_lines` every line of `source` (stdin); 1 if a line was bad.

    Raises:
        ConfigError: Called wrongly, or the rubric is broken.
        VocabularyError: Tokens cannot be counted.

    """
    if (prompt is None) != as_lines:
        raise ConfigError("route takes a prompt, or --jsonl and the prompts on stdin")
    loaded = load_rubric(rubric, default_if_broken=default_if_broken)
    if prompt is None:
        return _route_lines(_lines(source), loaded, _counter(), out)
    text = _read(source) if prompt == "-" else prompt
    if not text.strip():
        raise ConfigError("the prompt is empty")
    decision = _route(text, (), loaded, _counter())
    if as_json:
        print(json.dumps(decision.as_json(), ensure_ascii=False, indent=2), file=out)
    else:
        _show(decision, out)
    return 0


def _read(source: TextIO) -> str:
    try:
        return source.read()
    except UnicodeDecodeError:
        raise ConfigError("the prompt on stdin is not UTF-8") from None


def _counter() -> Count:
    from acp_agent.harmony.vocab import load_vocabulary

    vocabulary = load_vocabulary()
    return lambda text: len(vocabulary.encode_text(text))


def _route(prompt: str, resources: tuple[Resource, ...], rubric: Rubric, count: Count) -> Decision:
    session = SessionFacts()
    return decide(
        gather(prompt, resources, rubric=rubric, count_tokens=count, session=session), rubric
    )


def _lines(source: TextIO) -> Iterable[str | bytes]:
    # Bytes, where there are any: a line that is not UTF-8 must not end the rest.
    return getattr(source, "buffer", source)


def _route_lines(lines: Iterable[str | bytes], rubric: Rubric, count: Count, out: TextIO) -> int:
    failed = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            prompt, resources = read_line(line)
            answer = _route(prompt, resources, rubric, count).as_json()
        except BadLine as error:
            failed = True
            answer = {"error": str(error), "line": number}
        # ASCII: a lone surrogate in a prompt could not be written otherwise.
        print(json.dumps(answer), file=out, flush=True)
    return 1 if failed else 0


def read_line(line: str | bytes) -> tuple[str, tuple[Resource, ...]]:
    """Return prompt and resources of one object; other keys are left alone. Raises BadLine."""
    try:
        value: object = json.loads(line)
    except UnicodeDecodeError:
        raise BadLine("not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise BadLine(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadLine('not an object; give {"prompt": "…"}')
    item = cast("dict[str, Any]", value)
    prompt: Any = item.get("prompt")
    resources: Any = item.get("resources")
    if not isinstance(prompt, str):
        raise BadLine("'prompt' is missing" if prompt is None else "'prompt' must be a string")
    if not prompt.strip():
        raise BadLine("'prompt' is empty")
    if resources is None:
        return prompt, ()
    if not isinstance(resources, list):
        raise BadLine("'resources' must be a list")
    items = cast("list[object]", resources)
    return prompt, tuple(_resource(item, index) for index, item in enumerate(items))


def _resource(value: object, index: int) -> Resource:
    where = f"'resources[{index}]"
    if not isinstance(value, dict):
        raise BadLine(f"{where}' must be an object")
    item = cast("dict[str, Any]", value)
    uri: Any = item.get("uri")
    chars: Any = item.get("chars")
    if not isinstance(uri, str):
        raise BadLine(f"{where}.uri' must be a string")
    if chars is not None and (type(chars) is not int or chars < 0):
        raise BadLine(f"{where}.chars' must be a whole number, 0 or more")
    return Resource(uri, chars=chars)


def _show(decision: Decision, out: TextIO) -> None:
    print(f"{decision.decision}: {decision.reason}", file=out)
    for rule in decision.rules:
        weight = f"decides {rule.decides}" if rule.decides else f"{rule.score:+d}"
        print(f"  {weight:>8}  {rule.name}: {rule.because}", file=out)
    facts = asdict(decision.facts)
    facts["signals"] = ", ".join(decision.facts.signals)
    print(
        "facts: " + "; ".join(f"{k} {v}" for k, v in facts.items() if v not in ("", False)),
        file=out,
    )
