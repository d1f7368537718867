"""Envoy, the proxy of most service meshes, as a process of ours: all listeners of a page in one, on ports it is given.

The configuration is Envoy's own, as JSON (https://www.envoyproxy.io/docs/envoy/latest/api-v3/api). :func:`listener`,
:func:`cluster` and :func:`tls` write what is always the same; what is set comes from the caller, in Envoy's words::

    payment = cluster("payment", [bank.address], outlier_detection={})
    with Envoy([listener("to payment", {"cluster": "payment", "timeout": "2s"})], [payment]) as mesh:
        requests.get(mesh.url("to payment"))
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import requests

from servicelab.lifecycle import HOST, Component, ServerError
from servicelab.scratch import Scratch
from servicelab.servers.program import KEEPER

#: With ``SERVICELAB_MESH=sidecar`` no Envoy is found, also where one is installed.
CHOICE = "SERVICELAB_MESH"
_EXTENSIONS = "type.googleapis.com/envoy.extensions."
_HTTP = _EXTENSIONS + "filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = _EXTENSIONS + "filters.http.router.v3.Router"
#: What a listener's routes are to Envoy, when somebody else answers for them.
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
#: What the instances of a cluster are to Envoy, when somebody else answers for them.
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def find_envoy() -> str | None:
    """The path of the program ``envoy``, of this environment or on the PATH; None without one, or by choice."""
    if os.environ.get(CHOICE) == "sidecar":
        return None
    return shutil.which("envoy", path=sysconfig.get_path("scripts")) or shutil.which("envoy")


def routes(name: str, action: dict) -> dict:
    """The routes ``name``: everything does what ``action`` (a ``RouteAction``) says."""
    everything = [{"match": {"prefix": "/"}, "route": action}]
    host = {"name": "all", "domains": ["*"], "include_request_attempt_count": True, "routes": everything}
    return {"@type": ROUTES, "name": name, "virtual_hosts": [host]}


def endpoints(name: str, addresses) -> dict:
    """The instances of the cluster ``name``: pairs ``(host, port)``."""
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}} for host, port in addresses
    ]
    return {"@type": ENDPOINTS, "cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}


def listener(name: str, action: dict | None = None, *, brain: dict | None = None, tls=None, **settings) -> dict:
    """A listener on a port that the system chooses. Its routes are ``action``, or what ``brain`` says of ``name``.

    ``brain`` is a ``ConfigSource`` (:func:`polled`); ``settings`` go into the HTTP connection manager.
    """
    manager = {"@type": _HTTP, "stat_prefix": "http"} | settings
    if brain is None:
        manager["route_config"] = _untyped(routes(name, action))
    else:
        manager["rds"] = {"route_config_name": name, "config_source": brain}
    manager["http_filters"] = [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}]
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = tls
    where = {"socket_address": {"address": HOST, "port_value": 0}}
    return {"name": name, "address": where, "filter_chains": [chain]}


def cluster(name: str, addresses=None, *, brain: dict | None = None, tls=None, **settings) -> dict:
    """The instances ``addresses``, pairs ``(host, port)``, or those that ``brain`` says; with Envoy's ``settings``."""
    made = {"name": name, "connect_timeout": "5s"} | settings
    if tls:
        made["transport_socket"] = tls
    if brain is None:
        return made | {"type": "STATIC", "load_assignment": _untyped(endpoints(name, addresses))}
    return made | {"type": "EDS", "eds_cluster_config": {"eds_config": brain}}


def polled(brain: str, seconds: float) -> dict:
    """The ``ConfigSource`` that asks the cluster ``brain`` by REST. Between two questions lie ``seconds`` and a random
    time more, at most as long again."""
    how = {"api_type": "REST", "transport_api_version": "V3", "cluster_names": [brain]}
    how |= {"refresh_delay": f"{seconds:g}s", "request_timeout": "2s"}
    return {"resource_api_version": "V3", "api_config_source": how}


def tls(certificate: bytes, key: bytes, authority: bytes, names, server: bool) -> dict:
    """A ``transport_socket`` that shows a certificate and asks for one of ``authority`` with one of the DNS ``names``.

    All as PEM. ``server`` for a listener, which then refuses who shows none; otherwise for a cluster.
    """
    side = "Downstream" if server else "Upstream"
    pair = {"certificate_chain": {"inline_bytes": _text(certificate)}, "private_key": {"inline_bytes": _text(key)}}
    wanted = [{"san_type": "DNS", "matcher": {"exact": name}} for name in names]
    trust = {"trusted_ca": {"inline_bytes": _text(authority)}, "match_typed_subject_alt_names": wanted}
    context = {"@type": f"{_EXTENSIONS}transport_sockets.tls.v3.{side}TlsContext"}
    context["common_tls_context"] = {"tls_certificates": [pair], "validation_context": trust}
    if server:
        context["require_client_certificate"] = True
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _text(pem):
    return base64.b64encode(pem).decode()


def _untyped(message):
    return {key: value for key, value in message.items() if key != "@type"}


class Envoy(Component):
    """One Envoy with these ``listeners`` and ``clusters``: :meth:`url` of a listener, :meth:`stats`, ``.pid``.

    It runs with one worker and without hot restart, and ends with this process. :meth:`start` returns when all
    listeners listen. Raises ServerError where no Envoy is installed, when it refuses its configuration (with what it
    said), and when it is not ready within 20 s.
    """

    limit = 20.0

    def __init__(self, listeners, clusters, name: str = "envoy"):
        super().__init__(name)
        admin = {"address": {"socket_address": {"address": HOST, "port_value": 0}}}
        static = {"listeners": list(listeners), "clusters": list(clusters)}
        self.config = {"node": {"id": name, "cluster": "shop"}, "admin": admin, "static_resources": static}
        self._process = self._folder = None
        self._ports: dict[str, int] = {}

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def url(self, listener: str) -> str:
        """Where ``listener`` listens. Raises ServerError for one that it does not have, or while it is not running."""
        if not self.is_running or listener not in self._ports:
            raise ServerError(f"{self.name} has no listener {listener!r}: it has {sorted(self._ports)}")
        return f"http://{HOST}:{self._ports[listener]}"

    def stats(self, *words: str) -> dict[str, int]:
        """Its counters and gauges whose names contain one of ``words``."""
        rows = (line.split(": ") for line in self._ask("/stats").text.splitlines() if ": " in line)
        return {name: int(value) for name, value in rows if any(w in name for w in words) and value.isdigit()}

    def _ask(self, path):
        return requests.get(f"http://{self._admin}{path}", timeout=5)

    def _open(self):
        program = find_envoy()
        if program is None:
            mend = 'pip install "servicelab[mesh]", or use the sidecar of chapter 14'
            raise ServerError(f"{self.name}: there is no program 'envoy' in this environment: {mend}")
        self._ports, self._folder = {}, Scratch("envoy")
        folder = Path(self._folder.name)
        (folder / "config.json").write_text(json.dumps(self.config))
        command = [program, "-c", str(folder / "config.json"), "--admin-address-path", str(folder / "admin")]
        command += ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        with open(folder / "said", "w") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", KEEPER, "()", *command],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
            )  # fmt: skip

    def _opened(self, result):
        end = time.monotonic() + self.limit
        wanted = {one["name"] for one in self.config["static_resources"]["listeners"]}
        while self._ports.keys() != wanted:
            if self._process.poll() is not None:
                raise ServerError(f"{self.name} ended by itself: {self._said()}")
            if time.monotonic() > end:
                raise ServerError(f"{self.name} is not ready after {self.limit:g} s; it said {self._said()!r}")
            time.sleep(0.02)
            self._look()

    def _look(self):
        try:
            self._admin = Path(self._folder.name, "admin").read_text()
            if not self._admin or self._ask("/ready").status_code != 200:
                return
            for one in self._ask("/listeners?format=json").json().get("listener_statuses", ()):
                self._ports[one["name"]] = one["local_address"]["socket_address"]["port_value"]
        except (OSError, ValueError):
            pass  # not yet

    def _said(self):
        return Path(self._folder.name, "said").read_text(errors="replace").strip()[-1500:]

    def _close(self):
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
