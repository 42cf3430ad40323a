"""Fetching from a real server: what is read, what is refused, and in which words."""

from __future__ import annotations

import gzip
import zlib

import anyio
import pytest
from anyio.abc import SocketStream

from acp_agent import __version__
from acp_agent.tools.browser.address import parse_address
from acp_agent.tools.browser.fetch import Document, Fetcher, FetchFailed
from acp_agent.tools.browser.guard import anything
from tests.tools.browser.site import HTML, Site, bare_deflate, bomb, open_site, response

pytestmark = pytest.mark.anyio


async def fetch(url: str, fetcher: Fetcher | None = None) -> Document:
    with anyio.fail_after(20):
        return await (fetcher or Fetcher(admits=anything)).fetch(parse_address(url))


async def refusal(url: str, fetcher: Fetcher | None = None) -> str:
    with pytest.raises(FetchFailed) as failure:
        await fetch(url, fetcher)
    return str(failure.value)


async def test_a_page_is_fetched_without_a_trace_of_others() -> None:
    async with open_site() as site:
        site.put("/a?b=c%20d", "<p>é", set_cookie="id=1")
        document = await fetch(f"{site.url}/a?b=c d#there")
        assert document == Document(f"{site.url}/a?b=c%20d", "html", "<p>é")
        await fetch(f"{site.url}/a?b=c%20d")
        assert site.asked[0] == site.asked[1]
        lines = site.asked[1].split("\r\n")
    assert lines[0] == "GET /a?b=c%20d HTTP/1.1"
    assert dict(line.split(": ", 1) for line in lines[1:]) == {
        "host": site.host,
        "user-agent": f"gpt-oss-acp/{__version__} (a coding agent, at its user's request)",
        "accept-encoding": "gzip, deflate",
        "connection": "close",
        "accept": "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9,"
        " */*;q=0.1",
    }


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("naïve".encode(), "text/html", "naïve"),
        ("naïve".encode("latin-1"), "text/html", "naïve"),
        ("naïve".encode("latin-1"), "text/html; charset=ISO-8859-1", "naïve"),
        ("naïve €".encode("cp1252"), "text/html; charset=iso-8859-1", "naïve €"),
        ("naïve".encode("latin-1"), "text/html; charset=utf-8", "na\ufffdve"),
        ("naïve".encode(), "text/html; charset=utf-7", "naïve"),
        ("naïve".encode(), "text/html; charset=nonsense", "naïve"),
        ("naïve".encode(), 'text/html; charset="UTF-8"', "naïve"),
        ("\ufeffnaïve".encode(), "text/html; charset=iso-8859-1", "naïve"),
        ("\ufeffnaïve".encode("utf-16-le"), "text/html", "naïve"),
        (b'<meta charset="koi8-r">\xf0', "text/html", '<meta charset="koi8-r">П'),
        (b"<meta content='text/html; charset=shift_jis'>\x93\xfa", "text/html",
         "<meta content='text/html; charset=shift_jis'>日"),
        (b'<meta charset="zip">x', "text/html", '<meta charset="zip">x'),
        (b'<?xml version="1.0" encoding="iso-8859-2"?>\xb1', "text/html",
         '<?xml version="1.0" encoding="iso-8859-2"?>ą'),
    ],
)  # fmt: skip
async def test_the_charset_is_found_in_whatever_says_it(body: bytes, kind: str, text: str) -> None:
    async with open_site() as site:
        site.put("/", body, kind)
        assert (await fetch(site.url)).text == text


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("text/html", "html"),
        ("application/xhtml+xml", "html"),
        ("TEXT/Plain; charset=utf-8", "text"),
        ("text/markdown", "text"),
        ("application/json", "json"),
        ("application/ld+json", "json"),
        ("application/xml", "text"),
        ("application/atom+xml", "text"),
        ("", "html"),
        ("nonsense", "html"),
        (f"text/html; charset*{'9' * 5_000}=x", "html"),
        ("Text/HTML; charset*=utf-8''%zz; charset*0=a", "html"),
    ],
)
async def test_readable_kinds_are_told_apart(content_type: str, kind: str) -> None:
    async with open_site() as site:
        site.put("/", "<!DOCTYPE html><p>x", content_type)
        assert (await fetch(site.url)).kind == kind


@pytest.mark.parametrize("content_type", ["application/pdf", "image/png", "application/x-tar"])
async def test_other_kinds_are_refused_by_name(content_type: str) -> None:
    async with open_site() as site:
        site.put("/", b"%PDF-1.7\0", f"{content_type}; x=y")
        assert await refusal(site.url) == (
            f"the content is {content_type!r}; only HTML, text, JSON and XML can be read"
        )


async def test_binary_without_a_type_is_refused() -> None:
    async with open_site() as site:
        site.pages["/"] = response(b"\x7fELF\0\0", {})
        assert (await refusal(site.url)).startswith("the content is binary")


async def test_a_large_page_is_cut_at_the_limit() -> None:
    async with open_site() as site:
        site.put("/", b"x" * 10_000_000)
        document = await fetch(site.url)
        assert (len(document.text), document.cut) == (5 * 1024 * 1024, True)


async def test_a_character_cut_in_two_at_the_limit_does_not_change_the_charset() -> None:
    async with open_site() as site:
        site.put("/", "é" * 10, "text/plain")
        assert (await fetch(site.url, Fetcher(admits=anything, largest=7))).text == "ééé"


async def test_a_gzip_bomb_is_never_unpacked_beyond_the_limit() -> None:
    packed = gzip.compress(bomb(64))  # and packed once more it would be tiny
    async with open_site() as site:
        site.put("/", gzip.decompress(packed), content_encoding="gzip")
        document = await fetch(site.url, Fetcher(admits=anything, largest=1000))
        assert (len(document.text), document.cut) == (1000, True)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"hello", mtime=0), "gzip"),
        (gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0), "x-gzip"),
        (zlib.compress(b"hello"), "deflate"),
        (bare_deflate(b"hello"), "Deflate"),
        (b"hello", "identity"),
    ],
)
async def test_packed_pages_are_unpacked(body: bytes, encoding: str) -> None:
    async with open_site() as site:
        site.put("/", body, content_encoding=encoding)
        assert (await fetch(site.url)).text == "hello"


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        (
            "gzip",
            "the body is not gzip (Error -3 while decompressing data: incorrect header check)",
        ),
        ("br", "the body is packed as 'br', which was not asked for"),
    ],
)
async def test_what_cannot_be_unpacked_is_told(encoding: str, words: str) -> None:
    async with open_site() as site:
        site.put("/", b"hello there, this is no gzip", content_encoding=encoding)
        assert await refusal(site.url) == words


async def test_a_page_that_drips_is_given_up_after_the_time_limit() -> None:
    async def drip(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.01)

    async with open_site() as site:
        site.pages["/"] = drip
        words = await refusal(site.url, Fetcher(admits=anything, seconds=0.2))
        assert words == "it took longer than 0.2 seconds"


async def test_a_server_that_breaks_off_is_told() -> None:
    async def half(stream: SocketStream) -> None:
        await stream.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\nx"
        )

    async def nonsense(stream: SocketStream) -> None:
        await stream.send(b"SSH-2.0-OpenSSH\r\n")

    async with open_site() as site:
        site.pages |= {"/half": half, "/ssh": nonsense}
        assert (await refusal(f"{site.url}/half")).startswith("the answer broke off (")
        assert (await refusal(f"{site.url}/ssh")).startswith("no HTTP answer (")
    assert (await refusal(site.url)).startswith(f"cannot connect to {site.host} (")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("There is\nno such page.", "text/plain", "HTTP 404 Not Found: There is no such page."),
        ("<h1>Gone", HTML, "HTTP 404 Not Found"),
        (b"\x89PNG", "image/png", "HTTP 404 Not Found"),
        ("", "text/plain", "HTTP 404 Not Found"),
    ],
)
async def test_an_error_of_the_server_is_told_with_its_words(
    body: str | bytes, kind: str, words: str
) -> None:
    async with open_site() as site:
        data = body.encode() if isinstance(body, str) else body
        site.pages["/"] = response(data, {"content-type": kind}, "404 Not Found")
        assert await refusal(site.url) == words


def chain(site: Site, length: int) -> str:
    for number in range(length):
        site.redirect(f"/{number}", f"/{number + 1}", 301 if number % 2 else 307)
    site.put(f"/{length}", "there")
    return f"{site.url}/0"


async def test_redirects_within_a_site_are_followed_up_to_five() -> None:
    async with open_site() as site:
        document = await fetch(chain(site, 5))
        assert (document.url, document.text) == (f"{site.url}/5", "there")
        assert await refusal(chain(site, 6)) == "more than 5 redirects"
        site.redirect("/loop", "/loop")
        assert await refusal(f"{site.url}/loop") == "more than 5 redirects"


async def test_a_redirect_to_another_host_is_told_and_not_followed() -> None:
    async with open_site() as site, open_site() as other:
        other.put("/secret", "there")
        site.redirect("/", f"{other.url}/secret")
        assert await refusal(site.url) == (
            f"it redirects to another host; to go there, open {other.url}/secret"
        )
        assert other.asked == []
        known = Fetcher(admits=anything, follows=lambda host: host == other.host)
        assert (await fetch(site.url, known)).text == "there"


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("file:///etc/passwd", "only http:// and https:// addresses can be opened, not file:"),
        ("ftp://a.org/x", "only http:// and https:// addresses can be opened, not ftp:"),
        ("http://[::1", "it redirects to what is no address ("),
        ("http://a:b@127.0.0.1/", "an address with a user name or password cannot be opened"),
    ],
)
async def test_a_redirect_to_what_is_no_web_page_is_refused(to: str, words: str) -> None:
    async with open_site() as site:
        site.redirect("/", to)
        assert (await refusal(site.url)).startswith(words)


async def test_a_redirect_without_a_location_is_an_answer_like_others() -> None:
    async with open_site() as site:
        site.pages["/"] = response(b"", {}, "302 Found")
        assert await refusal(site.url) == "HTTP 302 Found"
