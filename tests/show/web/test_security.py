"""Only the person with the first address reads, in a browser on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from watchkeeper.show.web.security import HEADERS, Guard, Keys

ORIGIN = "http://127.0.0.1:8321"
METHODS = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


async def secret(request: Request) -> PlainTextResponse:
    return PlainTextResponse("secret", headers={"Cache-Control": "public", "X-Other": "1"})


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def client_at(keys: Keys) -> Callable[..., TestClient]:
    """A client that has no cookie yet; `hosts` are further names of the machine."""

    def make(origin: str = ORIGIN, hosts: tuple[str, ...] = ()) -> TestClient:
        routes = [Route("/{path:path}", secret, methods=["GET", *METHODS])]
        guarded = Guard(Starlette(routes=routes), keys, hosts)
        return TestClient(guarded, base_url=origin, follow_redirects=False)

    return make


@pytest.fixture
def client(client_at: Any, keys: Keys) -> TestClient:
    """A client that has exchanged the token for the cookie."""
    made = client_at()
    assert made.get(f"/?token={keys.token}").status_code == 303
    return made


def test_the_first_address_is_exchanged_for_a_cookie(client_at: Any, keys: Keys) -> None:
    """The token leads to the same address without it, and to a cookie that no script reads and no
    other site's link sends.
    """
    client = client_at()
    answer = client.get(f"/r/night/one?x=time&token={keys.token}&q=a%26b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/r/night/one?x=time&q=a%26b"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert keys.token not in cookie
    assert client.get("/r/night/one?x=time").text == "secret"


def test_a_link_on_another_page_leads_in_too(client_at: Any, keys: Keys) -> None:
    """From a chat or a mail a redirect would arrive without the cookie: the page loads itself."""
    headers = {"sec-fetch-site": "cross-site"}
    answer = client_at().get(f"/e/night?x=1&token={keys.token}", headers=headers)
    assert answer.status_code == 200 and "HttpOnly" in answer.headers["set-cookie"]
    assert answer.headers["refresh"] == "0;url=/e/night?x=1"


def test_a_ticket_opens_once(client_at: Any, keys: Keys) -> None:
    """What stood on a browser's command line is worth nothing afterwards; the token stays."""
    ticket = keys.new_ticket()
    assert [client_at().get(f"/?token={ticket}").status_code for _ in range(2)] == [303, 403]
    assert [client_at().get(f"/?token={keys.token}").status_code for _ in range(2)] == [303, 303]


def test_a_token_has_256_bits() -> None:
    """Two servers have two tokens, of 32 random bytes each."""
    tokens = {Keys().token for _ in range(10)}
    assert len(tokens) == 10
    assert all(len(token) >= 43 for token in tokens)


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%C3%A9", "?token=%00"])
def test_without_the_token_nothing_is_read(client_at: Any, query: str) -> None:
    """Neither no token nor a wrong one opens a page, a script or data, and the answer says what
    does.
    """
    for path in ("/", "/static/app.js", "/api/1/overview"):
        answer = client_at().get(path + query)
        assert answer.status_code == 403
        assert "secret" not in answer.text and "wk serve" in answer.text


@pytest.mark.parametrize("cookie", ["wk=x", "=;;=", "{name}=wrong", "{name}=", 'a="\\', "{name}=é"])
def test_no_other_cookie_opens(client_at: Any, keys: Keys, cookie: str) -> None:
    """A cookie of another server, or one that was made up, is none."""
    headers = {"cookie": cookie.format(name=keys.cookie_name).encode("latin-1")}
    assert client_at().get("/", headers=headers).status_code == 403


@pytest.mark.parametrize("method", METHODS)
def test_only_reading_is_possible(client: TestClient, method: str) -> None:
    """Whatever is no GET or HEAD is refused, also with the cookie."""
    assert client.request(method, "/").status_code == 405
    assert client.head("/").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", "", "192.168.0.9:8321"]
)
def test_another_name_for_this_machine_is_refused(client: TestClient, host: str) -> None:
    """A name that was made to lead here (DNS rebinding) reads nothing, even with the cookie."""
    answer = client.get("/api/1/overview", headers={"host": host})
    assert answer.status_code == 421 and "secret" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8321", "127.0.0.1:9999", "[::1]:8321", "LOCALHOST"])
def test_the_names_of_loopback_are_ours_at_any_port(client: TestClient, host: str) -> None:
    """A tunnel may end at another port of one's own machine."""
    headers = {"host": host, "cookie": "; ".join(f"{k}={v}" for k, v in client.cookies.items())}
    assert client.get("/", headers=headers).status_code == 200


def test_an_address_that_was_chosen_answers_under_it(client_at: Any, keys: Keys) -> None:
    """With --host, the machine's name and addresses are ours, and others are not."""
    for origin, status in (
        ("http://node7:8321", 303),
        ("http://10.0.0.7:8321", 303),
        ("http://evil.example:8321", 421),
    ):
        client = client_at(origin, hosts=("node7", "*"))
        assert client.get(f"/?token={keys.token}").status_code == status


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9", "null", "file://"])
def test_another_sites_page_may_not_ask(client: TestClient, origin: str) -> None:
    """What a page from elsewhere asks for is refused, without a header that shares anything."""
    answer = client.get("/api/1/overview", headers={"origin": origin})
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.get("/api/1/overview", headers={"origin": ORIGIN}).text == "secret"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_data_cannot_be_loaded_into_another_page(client: TestClient, site: str) -> None:
    """What a browser says another page loads as a script or a picture is refused."""
    assert client.get("/api/1/run/x", headers={"sec-fetch-site": site}).status_code == 403


def test_every_answer_says_how_it_may_be_used(client: TestClient, client_at: Any) -> None:
    """The headers stand on answers and refusals alike, and replace weaker ones."""
    for answer in (client.get("/"), client_at().get("/"), client.post("/")):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert client.get("/").headers["x-other"] == "1"


def test_a_very_long_query_is_refused(client: TestClient) -> None:
    """No request makes the server read a query without end."""
    assert client.get("/?" + "x" * 20_000).status_code == 414


def test_no_redirect_leads_to_another_host(client_at: Any, keys: Keys) -> None:
    """A path that begins with two slashes stays on this server."""
    answer = client_at().get(f"{ORIGIN}//evil.example/x?token={keys.token}")
    assert answer.headers["location"] == "/evil.example/x"
