"""Whether the fields of a value that was read from a file hold what their types say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

Test = Callable[[Any], bool]


def misfit(value: Any) -> str:
    """Return the first field of a dataclass that holds something else than it should, or ""."""
    for name, test in _tests(cast("type[Any]", type(value))):
        if not test(getattr(value, name)):
            return name
    return ""


@cache
def _tests(kind: type[Any]) -> tuple[tuple[str, Test], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, _test(hints[field.name])) for field in fields(kind))


def _test(hint: Any) -> Test:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return lambda value: value in args
    if origin in (Union, UnionType) and all(map(is_dataclass, args)):
        kinds = frozenset(cast("tuple[type[Any], ...]", args))
        return lambda value: type(value) in kinds and not misfit(value)
    if origin in (Union, UnionType):
        tests = [_test(arg) for arg in args]
        return lambda value: any(test(value) for test in tests)
    if origin is tuple:
        return _tuple(_test(args[0]))
    if origin is Mapping:
        return _mapping(_test(args[1]))
    if is_dataclass(hint):
        return lambda value: isinstance(value, cast("type[Any]", hint)) and not misfit(value)
    return _plain(hint)


def _plain(hint: Any) -> Test:
    if hint is object:
        return lambda value: True
    if hint is float:
        return lambda value: type(value) in (int, float)
    if hint is None or hint is NoneType:
        return lambda value: value is None
    return lambda value: type(value) is hint


def _tuple(test: Test) -> Test:
    return lambda value: (
        isinstance(value, tuple) and all(test(item) for item in cast("tuple[Any, ...]", value))
    )


def _mapping(test: Test) -> Test:
    return lambda value: (
        isinstance(value, dict)
        and all(test(item) for item in cast("dict[str, Any]", value).values())
    )
