"""What the registry in the kernel costs: lookups a second, and how soon waiting clients hear of a change.

``python -m benchmarks.registry`` prints JSON. Server and clients share this process and its GIL, as in a notebook. All
contestants take turns in one run, so that a slow moment of the machine hits them alike, and are asked over kept-alive
connections by the same bare client.

* *lookups*: ``GET /v1/health/service/orders?passing`` with three instances, beside a bare tornado handler and a Flask
  app on cheroot (8 workers) that return the same bytes. Best of the rounds.
* *wake-up*: from the moment in which a change is sent to the moment in which a waiting client has its whole answer,
  with 1 and with 200 blocking queries; beside them the same long poll with one thread for each waiting client, Flask
  on cheroot with 256 workers and a condition. That is what the registry would be without an event loop.
"""

import asyncio
import json
import selectors
import socket
import statistics
import threading
import time

from flask import Flask, request
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from servicelab.servers import serve
from servicelab.servers.registry import Registry

LOOKUP = "/v1/health/service/orders?passing"


class Link:
    """A kept-alive connection."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""

    def send(self, path: str, method: str = "GET", body: bytes = b"") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)

    def receive(self) -> bytes | None:
        """Read once; the answer's head and body when it is complete, else None."""
        self.left += self.socket.recv(1 << 16)
        head, end, body = self.left.partition(b"\r\n\r\n")
        if not end:
            return None
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        if len(body) < length:
            return None
        answer, self.left = self.left, b""
        return answer

    def ask(self, path: str, method: str = "GET", body: bytes = b"") -> bytes:
        self.send(path, method, body)
        while (answer := self.receive()) is None:
            pass
        return answer


class Bare:
    """tornado in a thread of its own, with a handler that returns ``body``."""

    def __init__(self, body: bytes):
        self.body, self.loop, self.port = body, asyncio.SelectorEventLoop(), None
        self.thread = threading.Thread(target=self.loop.run_forever, name="bare tornado", daemon=True)

    def __enter__(self):
        self.thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result(5)
        return self

    async def _listen(self):
        body = self.body

        class Handler(RequestHandler):
            def get(self):
                self.set_header("Content-Type", "application/json")
                self.finish(body)

        class Silent(Application):
            def log_request(self, handler):
                pass

        self.server = HTTPServer(Silent([(r".*", Handler)]))
        self.server.listen(0, "127.0.0.1")
        return next(iter(self.server._sockets.values())).getsockname()[1]

    async def _close(self):
        self.server.stop()
        await self.server.close_all_connections()

    def __exit__(self, *error):
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def flask_app(body: bytes) -> Flask:
    """The same answer, and the same long poll with a thread for each waiting client."""
    app, changed, index = Flask("threads"), threading.Condition(), [1]

    @app.get("/v1/health/service/orders")
    def lookup():
        return body, 200, {"Content-Type": "application/json"}

    @app.get("/wait")
    def wait():
        seen = int(request.args["index"])
        with changed:
            app.waiting += 1
            changed.wait_for(lambda: index[0] > seen)
            app.waiting -= 1
        return body, 200, {"Content-Type": "application/json", "X-Consul-Index": str(index[0])}

    @app.put("/change")
    def change():
        with changed:
            index[0] += 1
            changed.notify_all()
        return ""

    app.waiting = 0
    return app


def lookups(calls: int = 400, rounds: int = 8) -> dict:
    with Registry("bench") as registry:
        link = Link(registry.port)
        for number in range(3):
            register(link, number, "passing")
        body = link.ask(LOOKUP).partition(b"\r\n\r\n")[2]
        with Bare(body) as bare, serve(flask_app(body), "bench-flask") as flask:
            links = {"registry": link, "bare tornado": Link(bare.port), "Flask on cheroot": Link(flask.port)}
            best = dict.fromkeys(links, 0.0)
            for _ in range(rounds):
                for name, each in links.items():
                    start = time.perf_counter()
                    for _ in range(calls):
                        each.ask(LOOKUP)
                    best[name] = max(best[name], calls / (time.perf_counter() - start))
            for each in links.values():
                each.socket.close()
    return {
        **{f"{name} (lookups/s)": round(rate) for name, rate in best.items()},
        "registry : bare tornado": round(best["registry"] / best["bare tornado"], 2),
        "registry : Flask on cheroot": round(best["registry"] / best["Flask on cheroot"], 2),
    }


def register(link: Link, number: int, status: str) -> None:
    check = {"TTL": "1h", "Status": status}
    body = json.dumps({"Name": "orders", "ID": f"orders-{number}", "Port": 8000 + number, "Check": check})
    link.ask("/v1/agent/service/register", "PUT", body.encode())


def wake_ups(port: int, waiters: int, rounds: int, query, change, waiting) -> list[float]:
    """Seconds from the change to each answer, over all rounds. ``query(index)`` is the path of the long poll,
    ``change(link, number)`` makes the change, ``waiting()`` counts who waits."""
    links, changer, spent = [Link(port) for _ in range(waiters)], Link(port), []
    index = 1
    with selectors.DefaultSelector() as selector:
        for link in links:
            selector.register(link.socket, selectors.EVENT_READ, link)
        for number in range(rounds):
            for link in links:
                link.send(query(index))
            while waiting() < waiters:
                time.sleep(0.001)
            left = waiters
            start = time.perf_counter()
            change(changer, number)
            while left:
                for key, _ in selector.select(30):
                    answer = key.data.receive()
                    if answer is not None:
                        spent.append(time.perf_counter() - start)
                        left -= 1
            index = int(answer.partition(b"X-Consul-Index: ")[2].split(b"\r\n")[0])
    for link in [*links, changer]:
        link.socket.close()
    return spent


def woken(waiters: int, rounds: int) -> dict[str, list[float]]:
    """The registry and its rival with a thread for each waiting client, in turns."""
    found = {"registry": [], "a thread each": []}
    with Registry("bench") as registry:
        link = Link(registry.port)
        register(link, 0, "passing")
        body = link.ask(LOOKUP).partition(b"\r\n\r\n")[2]
        app = flask_app(body)
        with serve(app, "bench-threads", workers=min(256, waiters + 8)) as flask:
            for part in range(2):
                index = registry.index

                def query(seen, index=index):
                    return f"/v1/health/service/orders?index={max(seen, index)}&wait=60s"

                def change(changer, number, part=part):
                    status = ("warning", "passing")[number % 2]
                    changer.send(
                        "/v1/agent/check/update/service:orders-0", "PUT", json.dumps({"Status": status}).encode()
                    )

                found["registry"] += wake_ups(registry.port, waiters, rounds, query, change, lambda: registry.waiting)
                known = 1 + part * rounds
                found["a thread each"] += wake_ups(
                    flask.port, waiters, rounds, lambda seen, known=known: f"/wait?index={max(seen, known)}",
                    lambda changer, _: changer.send("/change", "PUT"), lambda: app.waiting,
                )  # fmt: skip
        link.socket.close()
    return found


def measure() -> dict:
    found = {"lookups": lookups()}
    quantiles = {}
    for waiters, rounds in ((1, 100), (200, 10)):
        for name, spent in woken(waiters, rounds).items():
            cuts = statistics.quantiles(spent, n=100)
            quantiles[name, waiters] = cuts[49], cuts[98]
    found["wake-up"] = {
        **{
            f"{name}, {waiters} waiting, {which} (ms)": round(value * 1e3, 2)
            for (name, waiters), pair in quantiles.items()
            for which, value in zip(("p50", "p99"), pair)
        },
        "200 waiting, p99, a thread each : registry": round(
            quantiles["a thread each", 200][1] / quantiles["registry", 200][1], 2
        ),
        "registry, p50, 200 waiting : 1 waiting": round(quantiles["registry", 200][0] / quantiles["registry", 1][0], 1),
    }
    return found


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
