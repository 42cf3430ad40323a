"""Citations in answers as links, however the answer is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.tools.browser.citations import Citations, markdown_link

PAGES = {1: "https://a.org/x_(y)?q=1&r=ü", 2: "http://b.org:81/", 12: "https://c.org/"}
A = "([a.org](https://a.org/x_%28y%29?q=1&r=%C3%BC))"
B = "([b.org:81](http://b.org:81/))"


def address(cursor: int) -> str:
    return PAGES.get(cursor, "")


def rewritten(*pieces: str) -> str:
    citations = Citations(address)
    return "".join(map(citations.feed, pieces)) + citations.finish()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It is so.【1†L9-L11】", f"It is so. {A}"),
        ("It is so 【1†L3】.", f"It is so {A}."),
        ("【2†L3】", B),
        ("x【1†L1】【2†L2-L3】y", f"x {A} {B}y"),
        ("x\n【12†source】", "x\n([c.org](https://c.org/))"),
        ("x【1†L1†a.org】", f"x {A}"),
        ("x【01†Title of it†a.org】", f"x {A}"),
    ],
)
def test_a_citation_becomes_a_link(text: str, shown: str) -> None:
    assert rewritten(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "x【0†L1】",
        "x【3†L1-L2】",
        "x【99999†L1】",
        "【注意】これは",
        "【1】",
        "【1†】",
        "【†L1】",
        "【a†L1】",
        "【1†a†】",
        "【1†a†b†c】",
        "【1†L\n1】",
        "【1†" + "x" * 81 + "】",
        "no citation",
        "",
        "ends in 【1†L",
        "ends in 【",
    ],
)
def test_what_is_no_citation_of_a_page_stays_as_it_is(text: str) -> None:
    assert rewritten(text) == text


def test_only_what_may_become_a_citation_is_held_back() -> None:
    citations = Citations(address)
    assert [citations.feed(piece) for piece in ("so【", "1", "†L", "9】.", "【", "注")] == [
        "so", "", "", f" {A}.", "", "【注"]  # fmt: skip
    assert citations.feed("【1†" + "x" * 80) == ""
    assert citations.feed("x") == "【1†" + "x" * 81


def test_an_open_bracket_before_a_citation_hides_nothing() -> None:
    assert rewritten("【1†【1†L1】") == f"【1† {A}"


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["【", "】", "†", "1", "2", "3", "L9", "-", "【1†L1】", "【2†a†b】", " ", "\n"]
        ),
        st.text(max_size=5),
        st.just("x" * 60),
    ),
    max_size=20,
)


@given(PIECES)
def test_any_chunking_gives_the_same_text(pieces: list[str]) -> None:
    whole = "".join(pieces)
    assert rewritten(*pieces) == rewritten(whole) == rewritten(*whole)


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://a.org/)](javascript:x)", "([a.org](https://a.org/%29%5D%28javascript:x%29))"),
        ("https://a.org/ b\n<c>`d`", "([a.org](https://a.org/%20b%20%3Cc%3E%60d%60))"),
        ("https://u:p@a.org/", "([a.org](https://a.org/))"),
        ("https://[::1]:8/", "([::1:8](https://[::1]:8/))"),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("http://[", ""),
        ("", ""),
    ],
)
def test_an_address_cannot_break_out_of_its_link(url: str, link: str) -> None:
    assert markdown_link(url) == link
