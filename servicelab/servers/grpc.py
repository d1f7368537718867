"""A gRPC server in the kernel: your servicers, with health service and reflection, in the one lifecycle.

    proto = load_proto(TEXT)
    server = GRPCServer([(proto.services.add_TrackingServicer_to_server, Tracking())], "orders").start()
    channel = grpc.insecure_channel(server.target)

Each call under way, and so each open stream, occupies one worker thread. A handler learns from gRPC's own context that
its caller has gone: ``context.is_active()``, ``context.time_remaining()`` (9.2e18 s when the caller sets no limit), and
``context.add_callback(close)``, which is how a handler that waits for something else is woken. Written against grpcio
1.85.
"""

import contextlib
import functools
import inspect
import queue
import threading
from concurrent import futures

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from servicelab.lifecycle import HOST, Server, ServerError, join
from servicelab.servers import threads
from servicelab.servers.arguments import check_options
from servicelab.servers.message_stamps import Talk, joined, label, talk_from
from servicelab.trace import Trace, current_call, from_traceparent, reply_id


class GRPCServer(Server):
    """gRPC services at ``server.target`` (as ``"127.0.0.1:50051"``), without TLS.

    ``services`` is a list of pairs ``(add_…Servicer_to_server, servicer)`` as the generated code has them. At most
    ``workers`` calls are handled at the same time; the others wait until one ends, streams included. What a handler
    raises, ``SystemExit`` too, is UNKNOWN for its caller (or the status that it had set) and a traceback in
    ``.errors``. ``health``: the standard health service, in which each service is SERVING until the stop; reflection
    tells tools what there is. ``options`` and ``interceptors`` are gRPC's own (``interceptors=[heeding_grpc()]`` hands
    deadlines down).

    With a ``trace`` the calls of a traced channel are stamped, and each message of a stream. A message from the client
    is stamped when the handler takes it.

    ``stop()`` gives calls ``grace`` seconds, then cancels them. Raises :class:`~servicelab.lifecycle.ServerError` for
    services that are none and when a fixed ``port`` is taken.
    """

    scheme = "grpc"
    grace = 0.5  # seconds

    def __init__(
        self,
        services,
        name: str,
        *,
        trace: Trace | None = None,
        workers: int = 16,
        port: int = 0,
        lane: str | None = None,
        health: bool = True,
        options=(),
        interceptors=(),
    ):
        super().__init__(name, port, lane)
        check_options(name, trace, workers)
        self.services = _checked(services, name)
        self.trace = trace
        self.workers = workers
        self.has_health = health
        self.options = list(options)
        self.interceptors = list(interceptors)
        self.errors: list[str] = []
        #: The health service, to say that one of the services is NOT_SERVING; None without it.
        self.health = None
        self._server = self._pool = None
        self._serves = False

    @property
    def target(self) -> str:
        """What a channel is made with. Raises ServerError while it is not running."""
        host, port = self.address
        return f"{host}:{port}"

    def set_health(self, serving: bool, service: str = "") -> None:
        """What the health service says of ``service`` ("": of all). Raises ServerError when there is none running."""
        if self.health is None:
            raise ServerError(f"{self.name} has no health service running: start it, with health=True")
        status = health_pb2.HealthCheckResponse
        self.health.set(service, status.SERVING if serving else status.NOT_SERVING)

    def _open(self):
        self.errors.clear()
        if self.wanted_port:
            threads.listen(self.wanted_port).close()  # gRPC's own refusal is a text
        self._pool = _Workers(self.name, self.workers)
        self._server = server = grpc.server(
            self._pool,
            # Without it a second server silently shares the port, and an old cell keeps answering.
            options=[("grpc.so_reuseport", 0), *self.options],
            interceptors=[_Watching(self), *self.interceptors],
        )
        names = []
        for add, servicer in self.services:
            add(servicer, _Noting(server, names))
        if self.has_health:
            self.health = health.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
            for service in ("", *names):
                self.set_health(True, service)
            names.append(health.SERVICE_NAME)
        pools = [add.pool for add, _ in self.services if hasattr(add, "pool")]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server, pool=_Pools(pools))
        port = server.add_insecure_port(f"{HOST}:{self.wanted_port}")
        server.start()
        self._serves = True
        return port

    def _close(self):
        server, pool = self._server, self._pool
        if server is None:
            return
        if self.health is not None:
            self.health.enter_graceful_shutdown()
        try:
            server.stop(self.grace).wait(self.grace + 1.0)
        except RuntimeError:  # the system starts no more threads: no grace, and nobody to end what never began
            if self._serves:
                server.stop(None)
        pool.shutdown(wait=False)
        if left := join(pool.threads, 0.3):
            threads.end(left, self.name, self.errors)
        self._server = self._pool = self.health = None
        self._serves = False


class _Workers(futures.Executor):
    """Up to ``most`` daemon threads, started when they are needed. Python's own pool would keep the kernel from ending
    for as long as a handler sleeps."""

    def __init__(self, name, most):
        self.name = name
        self.most = most
        self.threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._queue = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.is_over = False

    def submit(self, function, /, *args, **kwargs):
        with self._lock:
            if self.is_over:
                raise RuntimeError("the server has been stopped")
            future = futures.Future()
            self._queue.put((future, function, args, kwargs))
            if not self._idle.acquire(blocking=False) and len(self.threads) < self.most:
                name = f"servicelab {self.name} worker {len(self.threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self.threads.append(thread)
                thread.start()
        return future

    def _work(self):
        while (job := self._queue.get()) is not None:
            future, function, args, kwargs = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:  # a worker outlives whatever its handler does
                    future.set_exception(error)
            del job, future, function, args, kwargs
            self._idle.release()

    def shutdown(self, wait=True, *, cancel_futures=False):
        with self._lock:
            self.is_over = True
        for _ in self.threads:
            self._queue.put(None)
        if wait:
            join(self.threads, 60.0)


class _Noting:
    """A grpc.Server that notes the names of the services that are added to it."""

    def __init__(self, server, names):
        self._server, self._names = server, names

    def add_registered_method_handlers(self, service_name, handlers):
        self._names.append(service_name)
        self._server.add_registered_method_handlers(service_name, handlers)

    def __getattr__(self, name):
        return getattr(self._server, name)


class _Pools:
    """Descriptor pools as one: the versions' own, and the one of the process."""

    def __init__(self, pools):
        self._pools = [*pools, descriptor_pool.Default()]

    def __getattr__(self, name):
        def find(*args):
            for pool in self._pools:
                with contextlib.suppress(KeyError):
                    return getattr(pool, name)(*args)
            raise KeyError(args)

        return find


class _Watching(grpc.ServerInterceptor):
    """Keeps what handlers raise (gRPC would print it), and stamps what a traced client calls."""

    def __init__(self, owner: GRPCServer):
        self.owner = owner

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None:
            return None
        headers = joined(details.invocation_metadata)
        path = details.method.rpartition("/")[2]
        kind = ("stream" if handler.request_streaming else "unary") + (
            "_stream" if handler.response_streaming else "_unary"
        )
        inner = getattr(handler, kind)
        # Read and written here: what fails in it gRPC would print.
        parse, serialize = handler.request_deserializer or _as_it_is, handler.response_serializer or _as_it_is

        def read(visit, request, context):
            if handler.request_streaming:
                return visit.each(map(parse, request))
            return visit.asked(visit.guarded(context, lambda: parse(request)))

        def one(request, context):
            with _Visit(self.owner, headers, path) as visit:
                request = read(visit, request, context)
                reply = visit.guarded(context, lambda: inner(request, context))
                data = visit.guarded(context, lambda: serialize(reply))
                visit.replied(reply)
                return data

        def many(request, context):
            with _Visit(self.owner, headers, path) as visit:
                request = read(visit, request, context)
                replies = visit.guarded(context, lambda: iter(inner(request, context)))
                try:
                    while True:
                        try:
                            reply = visit.guarded(context, lambda: next(replies))
                        except StopIteration:
                            return
                        data = visit.guarded(context, functools.partial(serialize, reply))
                        visit.sends(reply)
                        yield data
                finally:
                    if hasattr(replies, "close"):  # the caller has gone: a generator's finally shall run now
                        replies.close()

        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(many if handler.response_streaming else one)


class _Visit:
    """One call as the server sees it: work from here to there, and messages."""

    def __init__(self, owner, headers, path):
        self.owner, self.path, self.pool = owner, path, owner._pool
        self.ids = from_traceparent(headers.get("traceparent")) if owner.trace is not None else None
        self.talk: Talk | None = talk_from(headers, owner.lane, owner.trace)

    def __enter__(self):
        if self.ids:
            trace_id, call_id = self.ids
            self.work = self.owner.trace.start_work(self.owner.lane, self.path, id=call_id)
            if self.work != call_id:  # gRPC tries again by itself: the messages of the first time are known
                self.talk = None
            current_call.set((trace_id, self.work))
        return self

    def __exit__(self, *error):
        current_call.set(None)
        if self.ids:
            self.owner.trace.end_work(self.work)

    def asked(self, request):
        if self.talk is not None:
            self.owner.trace.receive(self.ids[1], self.owner.lane)
        return request

    def each(self, requests):
        for request in requests:
            if self.talk is not None:
                self.talk.gets()
            yield request

    def sends(self, reply):
        if self.talk is not None:
            self.talk.sends(summary(reply))

    def replied(self, reply):
        if self.talk is not None:
            self.owner.trace.send(self.owner.lane, "", summary(reply) or "OK", id=reply_id(self.ids[1]), kind="reply")

    def guarded(self, context, run):
        try:
            return run()
        except (grpc.RpcError, StopIteration):  # the caller has gone while requests were read
            raise
        except BaseException as error:
            # context.abort() raises, too, and has noted it; gRPC keeps that in the state only.
            if getattr(getattr(context, "_state", None), "aborted", False) or self.pool.is_over:
                raise
            self.owner.errors.append(threads.traceback_text())
            code, details = context.code(), context.details()  # a status that the handler had set is what is told
            if not isinstance(code, grpc.StatusCode) or code is grpc.StatusCode.OK:
                code = grpc.StatusCode.UNKNOWN
            context.abort(
                code, details.decode() if details else f"Exception calling application: {str(error) or repr(error)}"
            )


def _as_it_is(data):
    return data


def summary(message) -> str:
    """What a diagram says of a message."""
    if isinstance(message, Message):
        return label(text_format.MessageToString(message, as_one_line=True))
    return label(message)


def _checked(services, name):
    mend = f"GRPCServer([(services.add_TrackingServicer_to_server, Tracking())], {name!r})"
    services = list(services) if isinstance(services, (list, tuple)) else [services]
    if len(services) == 2 and callable(services[0]) and not isinstance(services[1], tuple):
        services = [tuple(services)]  # one pair, not in a list
    if not services:
        raise ServerError(f"{name} has no services: {mend}")
    for pair in services:
        if not (isinstance(pair, tuple) and len(pair) == 2 and callable(pair[0])):
            raise ServerError(f"{pair!r} is no pair of a function that adds and a servicer: {mend}")
        if inspect.isclass(pair[1]):
            raise ServerError(f"the class {pair[1].__name__} is no servicer yet, an object of it is: {mend}")
    return services
