"""cheroot's HTTP server, fitted to a notebook.

cheroot speaks HTTP: keep-alive, chunked replies, a pool of worker threads. What is changed here is how
it waits, what it tells and how it ends:

* A connection that has nothing to say waits in a selector and occupies no worker, also when it has
  just been opened (cheroot itself would let a worker wait for the first byte).
* Requests wait in one unbounded first-in-first-out queue for exactly ``workers`` threads.
* Nothing is ever printed: errors are appended to a list.
* The end comes within a bound, whatever the handlers do.

Written against cheroot 11: the names with an underscore are its own.
"""

import contextlib
import itertools
import logging
import os
import queue
import socket
import threading
import time
import weakref

from cheroot import server as cheroot_server
from cheroot import wsgi
from cheroot.workers import threadpool

from servicelab.lifecycle import join
from servicelab.servers import threads

#: Seconds for which a kept-alive connection may stay idle, and a half-sent request silent.
IDLE_LIMIT = 60


class Engine(wsgi.Server):
    """One listening socket, one selector thread, ``workers`` worker threads, all named after ``name``.

    ``errors`` is the list to which tracebacks are appended, ``clock`` gives the stamps in seconds,
    ``grace`` is how many seconds a request in flight gets when the server ends.
    """

    keep_alive_conn_limit = None  # cheroot would close all but ten idle connections
    expiration_interval = 0.05  # seconds; also how long the selector sleeps before it sees that it shall end

    def __init__(self, port, app, name, workers, errors, clock=time.monotonic, grace=0.5):
        super().__init__(("127.0.0.1", port), app, request_queue_size=threads.BACKLOG, timeout=IDLE_LIMIT)
        self.gateway = _Gateway
        self.ConnectionClass = _Connection
        self.requests = _Workers(self, name, workers)
        self.name = name
        self.errors = errors
        self.clock = clock
        self.shutdown_timeout = grace
        self.bind_failure = None
        self._opened = weakref.WeakSet()
        self._at_stop = {}  # number -> function
        self._stopping = threading.Lock()
        self._is_over = False
        self._number = itertools.count()

    def bind(self, *args, **kwargs):
        try:
            sock = super().bind(*args, **kwargs)
        except OSError as error:
            self.bind_failure = error  # cheroot hides it in a text
            raise
        if os.name == "posix":
            # After the system has chosen the port, so that it cannot choose a used one. Our connections inherit
            # it; without it they would block the port for a minute, and a server could not come back to it.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return sock

    def process_conn(self, conn):
        """A connection was accepted, or has something to read."""
        if conn.last_used is None:
            self._opened.add(conn)
            self._connections.put(conn)
        else:
            conn.arrived = self.clock()
            self.requests.put(conn)

    def put_conn(self, conn):
        try:
            super().put_conn(conn)
        except (KeyError, ValueError, RuntimeError, OSError):  # the selector was closed in this moment
            conn.close()

    def error_log(self, msg="", level=logging.INFO, traceback=False):
        if level >= logging.WARNING:
            self.errors.append(f"{msg}\n{threads.traceback_text()}" if traceback else str(msg))

    def serve(self):
        """As cheroot's, without its thread for connections that are turned away: our queue is never full."""
        while self.ready and not self.interrupt:
            try:
                self._connections.run(self.expiration_interval)
            except BaseException:  # an exception that ends a thread would be printed
                self.errors.append(threads.traceback_text())

    def at_stop(self, function):
        """Call ``function`` when the server ends, before its grace begins: a reply without an end shall end then.

        Returns a function that calls it off. A handler finds this method as ``environ["servicelab.at_stop"]``.
        """
        number = next(self._number)
        with self._stopping:
            if not self._is_over:
                self._at_stop[number] = function
                return lambda: self._at_stop.pop(number, None)
        function()  # a request that was taken up while the server ended
        return lambda: None

    def end(self):
        """Stop listening, let requests in flight finish for the grace, then cut. May be called again."""
        with self._stopping:
            self._is_over = True
            functions = list(self._at_stop.values())
        for function in functions:
            try:
                function()
            except Exception:
                self.errors.append(threads.traceback_text())
        if self.ready:
            self.stop()
        else:  # it never became ready, or an interrupt came while it ended
            if getattr(self, "socket", None):
                self.socket.close()
            if hasattr(self, "_connections"):
                self._connections._stop_requested = True
                self._connections._selector.close()
            self.requests.stop(self.shutdown_timeout)
        for conn in list(self._opened):
            conn.close()
        logging.statistics.pop(f"Cheroot HTTPServer {id(self):d}", None)  # it would keep the app alive


class _Connection(cheroot_server.HTTPConnection):
    arrived = None  # when its request could be read
    picked_up = None  # when a worker took it

    def __init__(self, server, sock, *args, **kwargs):
        # Not every system hands this down from the listening socket. Without it a reply that leaves
        # in two pieces waits for the acknowledgement of the first: 40 ms.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(server, sock, *args, **kwargs)

    def communicate(self):
        self.picked_up = self.server.clock()
        return super().communicate()

    def close(self):
        # The end of the server and the worker that was cut may both come here.
        with contextlib.suppress(OSError, ValueError):
            super().close()
        # What a client that has gone did not take: the writer's finalizer would try again to send it, and since Python
        # 3.13 what a finalizer meets is printed.
        self.wfile._write_buf.clear()


class _Gateway(wsgi.Gateway_10):
    def get_environ(self):
        env = super().get_environ()
        env["wsgi.errors"] = threads.ErrorStream(self.req.server.errors)
        env["servicelab.arrived"] = self.req.conn.arrived
        env["servicelab.picked_up"] = self.req.conn.picked_up
        env["servicelab.at_stop"] = self.req.server.at_stop
        return env

    def respond(self):
        """Run the app and write its reply; what goes wrong in the app is a 500, what goes wrong on the wire is not.

        cheroot's own 500 closes the connection without having said so: the client's next request would be lost.
        """
        response = ()
        try:
            response = self.req.server.wsgi_app(self.env, self.start_response)
            chunks = iter(response)
        except BaseException:
            chunks = self._failed()
        try:
            while True:
                try:
                    chunk = self._next(chunks)
                except BaseException as error:
                    if self.req.sent_headers:
                        raise RuntimeError(f"the reply broke off: {error!r}") from error
                    chunks = self._failed()
                    continue
                if chunk is None:
                    break
                if chunk:
                    self.write(chunk)
            self.req.ensure_headers_sent()
        finally:
            self._close(response)

    def _next(self, chunks):
        chunk = next(chunks, None)
        if not (chunk is None or isinstance(chunk, bytes)):
            raise TypeError(f"the body of a reply is made of bytes, not of {chunk!r}")
        if not self.started_response:
            raise RuntimeError("the app did not call start_response")
        return chunk

    def _failed(self):
        self.req.server.errors.append(threads.traceback_text())
        self.req.outheaders.clear()
        self.started_response = False
        body = b"Internal Server Error"
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        self.start_response("500 Internal Server Error", headers)
        return iter([body])

    def _close(self, response):
        try:
            if hasattr(response, "close"):
                response.close()
        except BaseException:
            self.req.server.errors.append(threads.traceback_text())


class _Workers(threadpool.ThreadPool):
    """Exactly ``workers`` threads, which end within a bound."""

    def __init__(self, server, name, workers):
        super().__init__(server, min=workers, max=workers)
        self.name = name

    def grow(self, amount):
        """As cheroot's, but that a worker is ours to end as soon as it runs: an interrupt may come while they start."""
        for _ in range(min(amount, self.max - len(self._threads))):
            worker = _Worker(self.server)
            worker.name = f"servicelab {self.name} worker {worker.name.rpartition('-')[2]}"
            worker.daemon = True
            self._threads.append(worker)
            worker.start()
            while not worker.ready:  # cheroot would sleep for 100 ms
                time.sleep(0.0002)

    def stop(self, timeout=0.5):
        """Turn away what waits, give what runs ``timeout`` seconds, then cut it."""
        with contextlib.suppress(queue.Empty):
            while True:
                waiting = self._queue.get_nowait()
                if waiting is not threadpool._SHUTDOWNREQUEST:
                    waiting.close()
        for _ in self._threads:
            self._queue.put(threadpool._SHUTDOWNREQUEST)
        workers = list(self._threads)
        if left := join(workers, timeout):
            for worker in left:
                if (conn := worker.conn) is not None:
                    threads.shut(conn.socket)
            threads.end(left, self.name, self.server.errors)
        self._threads.clear()


class _Worker(threadpool.WorkerThread):
    def run(self):
        with contextlib.suppress(BaseException):  # it is in the error log; raised it would be printed
            super().run()
