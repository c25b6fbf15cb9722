"""Who may use the server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.live.server.access import LOCAL_NAMES, Access, Denied, is_local, new_token

HERE = "127.0.0.1:8000"


def denied(access: Access, *, query: str = "", path: str = "/api/info", **headers: str) -> Denied:
    with pytest.raises(Denied) as error:
        access.check({"host": HERE} | headers, query, path)
    return error.value


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1"])
def test_this_machine_is_asked_under_its_own_names(host: str) -> None:
    Access().check({"host": host}, "", "/")
    Access().check({"host": host, "origin": f"http://{host}"}, "", "/")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000",
        "",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8000",
        "10.0.0.1",
        "a:b:c",
        "[::1",
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    assert "not as" in str(denied(Access(), host=host))


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126)))
def test_no_other_name_is_taken_for_this_machine(host: str) -> None:
    try:
        Access().check({"host": host}, "", "/")
    except Denied:
        return
    assert any(name in host.lower() for name in LOCAL_NAMES)


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:3000", "http://localhost:8000", "null", "", "http://", "x"],
)
def test_pages_of_other_sites_are_refused(origin: str) -> None:
    assert "--origin" in str(denied(Access(), origin=origin))


def test_a_site_that_was_named_may_use_the_server_also_through_its_proxy() -> None:
    access = Access.of("127.0.0.1", origins=("https://live.example",))
    access.check({"host": HERE, "origin": "https://live.example"}, "", "/")
    access.check({"host": "live.example", "origin": "https://live.example:443"}, "", "/")
    denied(access, origin="http://live.example")
    denied(access, origin="https://live.example:444")


@pytest.mark.parametrize("origin", ["live.example", "ftp://live.example", "https://", "*"])
def test_an_origin_is_the_address_of_a_site(origin: str) -> None:
    with pytest.raises(ValueError, match="no address of a site"):
        Access.of("127.0.0.1", origins=(origin,))


@pytest.mark.parametrize("query", ["", "token=", "token=secre", "token=secret2", "token=%ff", "other=secret"])
def test_without_the_token_nothing_is_answered(query: str) -> None:
    assert denied(Access(token="secret"), query=query).status == 401
    assert denied(Access(token="secret"), authorization=f"Bearer {query}").status == 401


def test_the_token_comes_in_the_address_or_in_a_header() -> None:
    access = Access(token="secret")
    access.check({"host": HERE}, "a=1&token=secret", "/")
    access.check({"host": HERE, "authorization": "bearer secret"}, "", "/api/info")


def test_files_of_the_page_need_no_token_since_its_modules_cannot_pass_it_on() -> None:
    Access(token="secret").check({"host": HERE}, "", "/page/live.js")
    denied(Access(token="secret"), path="/page")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_a_host_that_others_reach_gets_a_token(host: str) -> None:
    access = Access.of(host)
    assert not is_local(host) and access.token and len(access.token) >= 20
    assert Access.of(host, token="mine").token == "mine"
    access.check({"host": "whatever.example"}, f"token={access.token}", "/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_this_machine_alone_needs_none(host: str) -> None:
    assert is_local(host) and Access.of(host).token is None


def test_no_two_tokens_are_the_same() -> None:
    assert new_token() != new_token()
