"""The numbers of chapter 13, each in its band, and what it says of the installed libraries."""

import datetime
import errno
import inspect
import socket
import ssl
import statistics
import sys
import time

import argon2
import jwt as pyjwt
import pytest
import requests
import trustme
import werkzeug.serving
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6749.wrappers import OAuth2Token
from flask import Flask
from joserfc import jwk, jwt
from joserfc.errors import JoseError
from urllib3.connection import HTTPConnection
from werkzeug.debug import DebuggedApplication

from servicelab import theory
from servicelab.lifecycle import ServerError
from servicelab.servers import TLSServer
from servicelab.servers.tls import answers, on_every_interface
from servicelab.views.demos.doors import AUTHORITIES, CREDENTIALS, Doors, judged

pytestmark = pytest.mark.usefixtures("nothing_is_left")

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
REQUEST = b"GET / HTTP/1.1\r\n\r\n"

# -- the closed forms ---------------------------------------------------------------------------


@pytest.mark.parametrize("leeway, share", [(0, 0.472), (1, 0.069), (2, 0.002)])
def test_fresh_tokens_that_are_refused(leeway, share):
    assert theory.refused_fresh(0.5, leeway, 0.05) == pytest.approx(share, abs=5e-4)


@pytest.mark.parametrize("wrong", [(0, 1), (-1, 1), (1, -1), (1, 1, -1)])
def test_clocks_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="="):
        theory.refused_fresh(*wrong)


def test_the_revoked_get_in_for_half_a_life_and_asking_costs_less_the_longer_one_believes():
    assert theory.cache_window(300).mean == 150 and theory.cache_window(300).most == 300
    assert 10 * (1 - theory.ttl_hits([1.0], 10, 1)) == pytest.approx(0.909, abs=1e-3)


# -- the TLS server -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def context_of(authority, version=V13, clients=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    authority.issue_cert("localhost").configure_cert(context)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


def call(server, authority, certificate=None, wait=0.0):
    """(step, answer or error); between the handshake and the request the client may ``wait``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    if certificate:
        certificate.configure_cert(context)
    step = "connect"
    try:
        with socket.create_connection(server.address, timeout=10) as sock:
            step = "handshake"
            with context.wrap_socket(sock, server_hostname="localhost") as line:
                time.sleep(wait)
                line.sendall(REQUEST)
                step = "read"
                return "served", line.recv(1000)
    except OSError as error:
        return step, error


@pytest.mark.parametrize("wait", [0.0, 0.3])
@pytest.mark.parametrize("version, step", [(V12, "handshake"), (V13, "read")])
def test_who_has_no_certificate_that_counts_hears_of_it_where_the_version_says(authority, version, step, wait):
    own, strange = authority.issue_cert("orders.shop.test"), trustme.CA().issue_cert("orders.shop.test")
    with TLSServer(context_of(authority, version, clients=True), "mutual") as server:
        for certificate in (None, strange):
            where, error = call(server, authority, certificate, wait)
            assert where == step and isinstance(error, ssl.SSLError) and "ALERT" in error.reason
        assert call(server, authority, own)[1].endswith(b"hello, orders.shop.test")
        assert server.saw == ["orders.shop.test"]


def test_one_who_never_shakes_hands_holds_up_nobody_and_not_the_end(authority):
    with TLSServer(context_of(authority), "patient") as server, socket.create_connection(server.address):
        assert call(server, authority)[1].endswith(b"hello, somebody")


@pytest.mark.skipif(sys.platform != "linux", reason="how long an acknowledgement waits is Linux's")
def test_nagle_holds_back_the_first_answer_after_a_tls_13_handshake(authority):
    def first(server):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        with context.wrap_socket(socket.create_connection(server.address), server_hostname="localhost") as line:
            begin = time.perf_counter()
            line.sendall(REQUEST)
            line.recv(1000)
            return time.perf_counter() - begin

    took = {}
    for nodelay in (False, True):
        with TLSServer(context_of(authority), "nagle", nodelay=nodelay) as server:
            took[nodelay] = statistics.median(first(server) for _ in range(15))
    assert took[False] > 3 * took[True]
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in HTTPConnection.default_socket_options


@pytest.mark.parametrize("wrong", [None, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)])
def test_a_context_that_is_not_a_servers_is_refused(wrong):
    with pytest.raises(ServerError, match="context="):
        TLSServer(wrong, "wrong")


@pytest.mark.skipif(sys.platform != "linux", reason="SO_BINDTODEVICE is Linux's")
def test_what_listens_on_every_interface_is_bound_to_the_loopback_device(monkeypatch):
    made = []
    listen = socket.socket.listen
    monkeypatch.setattr(socket.socket, "listen", lambda sock: made.append(sock) or listen(sock))
    with on_every_interface() as port:
        assert made[0].getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b"lo\0"
        assert answers("127.0.0.1", port) and answers("127.0.0.2", port)
    assert not answers("127.0.0.2", port)


def test_where_it_cannot_be_bound_to_the_device_nothing_listens(monkeypatch):
    def refused(sock, *option):
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(socket.socket, "setsockopt", refused)
    with pytest.raises(ServerError, match="nothing was opened"), on_every_interface():
        pass
    with pytest.raises(ServerError, match="host='10.0.0.1'"):
        answers("10.0.0.1", 80)


# -- what the chapter says of other people's software -------------------------------------------

KEY = jwk.ECKey.generate_key("P-256")


def token(**changes):
    now = int(time.time())
    claims = {"aud": "payment", "sub": "orders", "iat": now, "exp": now + 600} | changes
    return jwt.encode({"alg": "ES256"}, {k: v for k, v in claims.items() if v is not None}, KEY)


def accepts(read, text):
    try:
        read(text)
        return True
    except (JoseError, pyjwt.PyJWTError):
        return False


NOW = int(time.time())
SAME_TOKEN = {  # changes → who accepts it: joserfc decodes, and validates; PyJWT decodes, and with the audience
    "as it should be": ({}, (1, 1, 0, 1)),
    "expired": ({"iat": NOW - 3900, "exp": NOW - 3600}, (1, 0, 0, 0)),
    "issued tomorrow": ({"iat": NOW + 86_400, "exp": NOW + 90_000}, (1, 0, 0, 0)),
    "not before tomorrow": ({"nbf": NOW + 86_400, "exp": NOW + 90_000}, (1, 0, 0, 0)),
    "without an end": ({"exp": None}, (1, 1, 0, 1)),
    "for shipping": ({"aud": "shipping"}, (1, 1, 0, 0)),
    "sub is a number": ({"sub": 7}, (1, 0, 0, 0)),
    "for nobody": ({"aud": None}, (1, 1, 1, 0)),
}


@pytest.mark.parametrize("changes, accepted", SAME_TOKEN.values(), ids=SAME_TOKEN)
def test_the_same_token_before_two_libraries(changes, accepted):
    text, readers = token(**changes), [
        lambda text: jwt.decode(text, KEY, algorithms=["ES256"]),
        lambda text: jwt.JWTClaimsRegistry().validate(jwt.decode(text, KEY, algorithms=["ES256"]).claims),
        lambda text: pyjwt.decode(text, KEY.public_key, algorithms=["ES256"]),
        lambda text: pyjwt.decode(text, KEY.public_key, algorithms=["ES256"], audience="payment"),
    ]  # fmt: skip
    assert tuple(accepts(read, text) for read in readers) == accepted


def test_defaults_that_the_chapter_names():
    assert Flask("x").permanent_session_lifetime == datetime.timedelta(days=31)
    assert jwt.JWTClaimsRegistry().leeway == 0
    assert inspect.signature(pyjwt.decode).parameters["leeway"].default == 0
    assert inspect.signature(OAuth2Session.__init__).parameters["leeway"].default == 60
    assert [OAuth2Token({"expires_in": life}).is_expired() for life in (59, 300)] == [True, False]
    argon = argon2.PasswordHasher()
    assert (argon.time_cost, argon.memory_cost, argon.parallelism) == (3, 64 * 1024, 4)
    assert inspect.signature(werkzeug.serving.run_simple).parameters["use_evalex"].default is True
    assert inspect.signature(DebuggedApplication).parameters["pin_security"].default is True
    assert DebuggedApplication(Flask("x"), evalex=False).trusted_hosts == [".localhost", "127.0.0.1"]


def test_a_bundle_in_the_environment_overrides_what_a_session_trusts(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "environment.pem")
    with requests.Session() as session:
        session.verify = "own.pem"
        merged = [session.merge_environment_settings("https://localhost", {}, None, None, None)["verify"]]
        session.trust_env = False
        merged.append(session.merge_environment_settings("https://localhost", {}, None, None, None)["verify"])
    assert merged == ["environment.pem", "own.pem"]


# -- the panel ----------------------------------------------------------------------------------

REFUSES = {
    "nothing": "the check",
    "last year's API key": "the check",
    "a token for shipping": "the check",
    "a token without the scope": "the check",
    "another authority's certificate": "TLS",
}


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_the_panel_s_doors(credential):
    assert judged(credential, 0, AUTHORITIES[0])[:2] == (
        ("payment", REFUSES[credential]) if credential in REFUSES else (None, None)
    )
    assert judged(credential, 0, AUTHORITIES[1])[:2] == ("orders", "TLS")


@pytest.mark.parametrize("skew, served", [(-10, False), (-5, True), (60, True), (65, False)])
def test_a_token_bears_as_much_as_the_leeway(skew, served):
    assert (judged("a token", skew, AUTHORITIES[0])[0] is None) == served


def test_call_says_what_happened_until_a_setting_is_changed():
    panel = Doors(seed=1)
    panel.call()
    assert "served" in panel.alt
    panel.set(skew=90)
    assert "Nobody has called" in panel.alt
    panel.call()
    assert "payment refuses at the check: the token is expired" in panel.alt
