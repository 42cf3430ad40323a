"""Which addresses are let through, whatever name or spelling leads to them."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from acp_agent.tools.browser.address import Address, BadAddress, parse_address
from acp_agent.tools.browser.fetch import Fetcher, FetchFailed
from acp_agent.tools.browser.guard import anything, is_public, resolve
from acp_agent.tools.browser.hosts import allowed_hosts
from tests.tools.browser.site import no_addresses, open_site


@pytest.mark.parametrize(
    "address",
    """127.0.0.1 127.9.9.9 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254
    100.64.0.1 100.100.100.200 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1
    240.0.0.1 255.255.255.255 ::1 :: ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 fe80::1
    fe80::1%eth0 fc00::1 fd12::1 fec0::1 ff02::1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1
    2002:7f00:1:: 2002:c0a8:101:: 2001::1 2001:db8::1 100::1 nonsense""".split(),
)
def test_an_address_of_a_private_or_special_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    "8.8.8.8 1.1.1.1 172.32.0.1 93.184.215.14 2606:4700::1111 2a00:1450:4001::1 64:ff9b::808:808"
    " 2002:808:808::".split(),
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def resolver_of(*addresses: str) -> Fetcher:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return addresses

    return Fetcher(resolver=resolver)


async def refusal(url: str, fetcher: Fetcher) -> str:
    with anyio.fail_after(10), pytest.raises(FetchFailed) as failure:
        await fetcher.fetch(parse_address(url))
    return str(failure.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "[::1]",
     "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "LOCALHOST", "127.0.0.1.", "①②⑦.⓪.⓪.①"],
)  # fmt: skip
async def test_no_spelling_of_the_loopback_gets_through(host: str) -> None:
    async with open_site() as site:
        words = await refusal(f"http://{host}:{site.port}/", Fetcher(resolver=resolve))
        assert "private" in words or "cannot find the host" in words
        assert site.asked == []


@pytest.mark.anyio
async def test_a_name_that_resolves_to_a_private_address_is_refused_with_it() -> None:
    assert await refusal("http://intranet.example/", resolver_of("10.1.2.3")) == (
        "intranet.example resolves to 10.1.2.3, a private address; private networks cannot be"
        " opened (the user can allow them: browser_allow_private)"
    )


@pytest.mark.anyio
async def test_one_private_address_among_public_ones_is_enough() -> None:
    assert "192.168.0.1" in await refusal("http://a.org/", resolver_of("8.8.8.8", "192.168.0.1"))


@pytest.mark.anyio
async def test_a_name_without_addresses_is_told() -> None:
    assert await refusal("http://a.org/", resolver_of()) == "cannot find the host (no address)"
    words = await refusal("http://a.org/", Fetcher(resolver=no_addresses))
    assert words == "cannot find the host (asked for a.org)"


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["a" * 70 + ".org", "a..b", ".".join(["a" * 60] * 4)])
async def test_a_name_that_is_none_is_told(host: str) -> None:
    assert (await refusal(f"http://{host}/", Fetcher())).startswith("cannot find the host (")


@pytest.mark.anyio
async def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_checked() -> None:
    async with open_site() as site:
        site.put("/", "here")
        asked: list[str] = []

        async def rebinding(host: str, port: int) -> Sequence[str]:
            asked.append(host)
            return ["127.0.0.1"]

        fetcher = Fetcher(resolver=rebinding, admits=anything)
        address = Address("http", "rebinding.invalid", site.port, "/")  # which nobody can resolve
        assert (await fetcher.fetch(address)).text == "here"
        assert asked == ["rebinding.invalid"]
        assert f"host: rebinding.invalid:{site.port}" in site.asked[0]


@pytest.mark.anyio
@pytest.mark.parametrize("to", ["http://127.0.0.2:{port}/secret", "http://inside.invalid/secret"])
async def test_a_redirect_into_the_private_network_is_refused(to: str) -> None:
    async with open_site() as site:
        site.redirect("/", to.format(port=site.port))
        site.put("/secret", "never")

        async def resolver(host: str, port: int) -> Sequence[str]:
            return {"outside.invalid": ["127.0.0.1"]}.get(host, ["127.0.0.2"])

        # The site stands for one on the internet.
        fetcher = Fetcher(
            resolver=resolver, admits=lambda ip: ip == "127.0.0.1", follows=lambda _: True
        )
        words = await refusal(f"http://outside.invalid:{site.port}/", fetcher)
        assert "127.0.0.2" in words and "private" in words
        assert len(site.asked) == 1


@pytest.mark.anyio
async def test_a_name_that_turns_private_between_two_hops_is_refused() -> None:
    async with open_site() as site:
        site.redirect("/", "/next")
        site.put("/next", "never")
        answers = [["127.0.0.1"], ["10.0.0.1"]]

        async def turning(host: str, port: int) -> Sequence[str]:
            return answers.pop(0)

        fetcher = Fetcher(resolver=turning, admits=lambda ip: ip == "127.0.0.1")
        words = await refusal(f"http://turning.invalid:{site.port}/", fetcher)
        assert words.startswith("turning.invalid resolves to 10.0.0.1, a private address")
        assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "not file:"),
        ("javascript:alert(1)", "not javascript:"),
        ("//a.org/x", "not one without a scheme"),
        ("http://", "not a host: ''"),
        ("http://a b/", "not a host"),
        ("http://a.org:99999/", "not an address"),
        ("http://a.org\\@b.org/", "user name"),
        ("http://a.org%2f@b.org/", "user name"),
        ("http://good.org@evil.org/", "user name"),
        ("http://[fe80::1%25eth0]/", "not a"),
        ("http://[::1", "not an address"),
        ("http://-a-/", "not a host"),
        ("http://" + "a" * 9000, "longer than"),
    ],
)
def test_what_is_no_address_is_told(url: str, words: str) -> None:
    with pytest.raises(BadAddress, match=words):
        parse_address(url)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("HTTP://A.org", "http://a.org/"),
        ("https://a.org:443/x#y", "https://a.org/x"),
        ("https://a.org:8443", "https://a.org:8443/"),
        ("http://a.org/ü?q=a b&c=d%20e", "http://a.org/%C3%BC?q=a%20b&c=d%20e"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://[2606:4700::1111]:80/", "http://[2606:4700::1111]/"),
        ("ht\ntp://a.org/\tx", "http://a.org/x"),
    ],
)
def test_an_address_is_read_in_one_way(url: str, read: str) -> None:
    assert parse_address(url).url == read


def test_hosts_that_are_allowed_are_named_or_below_what_is_named() -> None:
    allows = allowed_hosts("docs.python.org, *.mozilla.org localhost:8080")
    names = ["docs.python.org", "python.org", "x.mozilla.org", "mozilla.org", "evilmozilla.org",
             "localhost:8080", "localhost", "docs.python.org.evil.org"]  # fmt: skip
    assert [name for name in names if allows(name)] == [
        "docs.python.org", "x.mozilla.org", "localhost:8080"]  # fmt: skip
    assert allowed_hosts("*")("anything") and not allowed_hosts("")("anything")
