"""The checks that the registry makes itself: an HTTP request, or a connection, every so often.

What they find is what Consul finds: a reply of 2xx is passing, 429 is warning, anything else and no reply in time is
critical. They tell that *something* answered *that* request; whether an order could be placed there they do not.

The first is made after a random part of the interval, so that checks registered together do not fall together.
"""

import asyncio
import logging
import traceback
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import HTTPTimeoutError, SimpleAsyncHTTPClient

from servicelab.leases import CRITICAL, PASSING, WARNING, Catalog, Check, UnknownCheck
from servicelab.lifecycle import HOST, server_at
from servicelab.trace import new_id, reply_id, to_traceparent

MOST_AT_ONCE = 1000
OUTPUT = 4096  # bytes of a reply that are kept, as in Consul

# tornado would print a failed handshake, which is the output of its check. Other threads' lines are not ours to drop.
logging.getLogger("tornado.general").addFilter(lambda record: not record.threadName.startswith("servicelab "))


class Probes:
    """One task for each check that has to be made. ``agent`` is told the results."""

    def __init__(self, agent, errors: list[str]):
        self.agent = agent
        self.errors = errors
        self._tasks: dict[tuple[str, str], tuple[dict, asyncio.Task]] = {}
        self._http: AsyncHTTPClient | None = None

    def follow(self, catalog: Catalog) -> None:
        """Make the checks that are registered now, and no others."""
        if self.agent.is_closing or not self.agent.running.is_set():
            return
        wanted = {check.key: check for check in catalog.checks() if check.definition}
        for key, (how, task) in list(self._tasks.items()):
            if key not in wanted or wanted[key].definition != how:
                # A task ends its own check by itself: it must not be cut while it reports.
                if task is not asyncio.current_task():
                    task.cancel()
                del self._tasks[key]
        for key, check in wanted.items():
            if key not in self._tasks:
                self._tasks[key] = check.definition, asyncio.get_running_loop().create_task(self._repeat(check))

    def stop(self) -> None:
        for _, task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def close(self) -> None:
        self.stop()
        if self._http is not None:
            self._http.close()

    async def _repeat(self, check: Check) -> None:
        how = check.definition
        mine = asyncio.current_task()
        try:
            await asyncio.sleep(self.agent.rng.random() * how["interval"])
            while self._tasks.get(check.key, (None, None))[1] is mine:
                try:
                    status, output = await (self._ask(check, how) if "http" in how else self._connect(how))
                except Exception as error:  # it cannot be made: that is its result, each time
                    status, output = CRITICAL, f"{how.get('http') or how['tcp']}: {error!r}"
                if self._tasks.get(check.key, (None, None))[1] is mine:
                    self.agent.write(self.agent.catalog.report, check.id, status, output, check.node)
                await asyncio.sleep(how["interval"])
        except UnknownCheck:
            pass  # what was due in the same moment has removed it
        except Exception:
            self.errors.append(traceback.format_exc().rstrip())

    async def _ask(self, check: Check, how: dict) -> tuple[str, str]:
        if self._http is None:
            self._http = SimpleAsyncHTTPClient(force_instance=True, max_clients=MOST_AT_ONCE)
        url, timeout = how["http"], how["timeout"]
        headers = HTTPHeaders({"User-Agent": "Consul Health Check", "Accept": "text/plain, text/*, */*"})
        for name, values in how["header"].items():
            for value in values:
                headers.add(name, value)
        stamps = _Stamps(self.agent, check, how["method"], url, timeout)
        headers["traceparent"] = stamps.header
        request = HTTPRequest(
            url, how["method"], headers, how["body"] or None, connect_timeout=timeout, request_timeout=timeout,
            allow_nonstandard_methods=True, decompress_response=False,
        )  # fmt: skip
        what = f"HTTP {how['method']} {url}: "
        try:
            # Not to be cancelled with this task: tornado would print what then becomes of it.
            asked = asyncio.ensure_future(self._http.fetch(request, raise_error=False))
            asked.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
            await asyncio.wait([asked])
            reply = asked.result()
        except HTTPTimeoutError:
            stamps.end("timeout")
            return CRITICAL, f"{what}no reply within {timeout:g} s"
        except Exception as error:
            stamps.end("refused" if isinstance(error, ConnectionRefusedError) else "lost")
            return CRITICAL, f"{what}{error}"
        except BaseException:
            stamps.end("interrupted")  # the check was removed, or the registry stops
            raise
        stamps.end("ok" if reply.code < 400 else f"HTTP {reply.code}", answered=True)
        status = PASSING if 200 <= reply.code < 300 else WARNING if reply.code == 429 else CRITICAL
        return status, f"{what}{reply.code} {reply.reason} Output: {reply.body[:OUTPUT].decode(errors='replace')}"

    async def _connect(self, how: dict) -> tuple[str, str]:
        host, _, port = how["tcp"].rpartition(":")
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), how["timeout"])
        except TimeoutError:
            return CRITICAL, f"TCP connect {how['tcp']}: no connection within {how['timeout']:g} s"
        except OSError as error:
            return CRITICAL, f"TCP connect {how['tcp']}: {error}"
        writer.close()
        return PASSING, f"TCP connect {how['tcp']}: Success"


class _Stamps:
    """The stamps of one request of ours, as a traced session makes them."""

    def __init__(self, agent, check: Check, method: str, url: str, timeout: float):
        self.trace, self.lane = agent.trace, agent.lane
        parts = urlsplit(url)
        try:
            server = server_at(parts.port) if parts.hostname in (HOST, "localhost") else None
        except ValueError:  # no port number
            server = None
        whom = server.lane if server else check.service_id or check.node
        label = f"{method} {parts.path or '/'}"
        self.id = new_id()
        self.header = to_traceparent(self.id, self.id)
        if self.trace is not None:
            self.trace.start_call(self.lane, whom, label, id=self.id, timeout=timeout)
            self.trace.send(self.lane, whom, label, id=self.id)

    def end(self, status: str, answered: bool = False) -> None:
        if self.trace is None:
            return
        now = self.trace.clock()
        if status == "refused":
            self.trace.lose(self.id, "refused", at=now)
        if answered:
            self.trace.receive(reply_id(self.id), self.lane, at=now)
        self.trace.end_call(self.id, status, at=now)
