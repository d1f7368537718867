"""A gRPC channel whose unary calls go by a policy."""

import time
from typing import NamedTuple

import grpc

from servicelab.arguments import in_reach
from servicelab.clients.adapter_stack import at_most
from servicelab.clients.errors import CallFailed
from servicelab.policies.deadline import remaining
from servicelab.policies.drive import call
from servicelab.policies.race import when_abandoned
from servicelab.policies.status import Status

CODE = grpc.StatusCode

#: What a policy takes a code for; any other code is its own name. Source: the codes' definitions in
#: https://grpc.io/docs/guides/status-codes/.
STATUS = {
    CODE.OK: Status.OK,
    CODE.DEADLINE_EXCEEDED: Status.TIMEOUT,
    CODE.UNAVAILABLE: Status.LOST,
    CODE.RESOURCE_EXHAUSTED: Status.REJECTED,
    CODE.INTERNAL: Status.ERROR,
    CODE.UNKNOWN: Status.ERROR,
    CODE.ABORTED: Status.ERROR,
    CODE.DATA_LOSS: Status.ERROR,
}

#: And what the caller of a stub is told when the policy had the last word.
TOLD = {Status.DEADLINE: CODE.DEADLINE_EXCEEDED, Status.TIMEOUT: CODE.DEADLINE_EXCEEDED}


def intercepted(channel, policy):
    if not isinstance(channel, grpc.Channel):
        raise TypeError(f"channel={channel!r} is no grpc.Channel: guard_channel(grpc.insecure_channel(target), policy)")
    return grpc.intercept_channel(channel, PolicyInterceptor(policy))


class PolicyInterceptor(grpc.UnaryUnaryClientInterceptor):
    """Makes each unary call as often as ``policy`` says. ``clock`` is the one of ``current_deadline``."""

    def __init__(self, policy, clock=time.monotonic):
        self.policy = policy
        self.clock = clock

    def intercept_unary_unary(self, continuation, details, request):
        def attempt(limit, number):
            sent = with_timeout(details, at_most(at_most(details.timeout, limit), remaining(self.clock())))
            if sent is None:
                return Status.DEADLINE, None
            outcome = continuation(sent, request)
            if not outcome.done():
                when_abandoned(outcome.cancel)
            code = outcome.code()  # waits for the end
            error = None if code is CODE.OK else outcome.exception()
            if error is not None and not isinstance(error, grpc.RpcError):
                raise error  # a mistake on this side, not an answer
            return STATUS.get(code, code.name), outcome

        result = call(self.policy, attempt)
        if result.value is not None and STATUS.get(result.value.code(), result.value.code().name) == result.status:
            return result.value
        return RPCFailed(result.status, result.attempts, details.method)


class Details(NamedTuple):
    """What gRPC tells an interceptor of a call, and takes back from it."""

    method: str
    timeout: float | None
    metadata: object
    credentials: object
    wait_for_ready: bool | None
    compression: object


def with_timeout(details, timeout: float | None) -> Details | None:
    """The call with ``timeout`` seconds; None when nothing is left, and nothing shall be sent.

    gRPC itself may still let the handler run when the timeout is 0 or less, and fails at once from 7.5e9 s on.
    """
    if timeout is not None and not timeout > 0:
        return None
    found = {name: getattr(details, name, None) for name in Details._fields}
    return Details(**{**found, "timeout": in_reach(timeout)})


class RPCFailed(CallFailed, grpc.RpcError, grpc.Call, grpc.Future):
    """A call that ended on this side: an error and a finished call in one, as gRPC's own errors are."""

    def code(self):
        return TOLD.get(self.status, CODE.UNAVAILABLE)

    def details(self):
        return str(self)

    def result(self, timeout=None):
        raise self

    def exception(self, timeout=None):
        return self

    def traceback(self, timeout=None):
        return self.__traceback__

    def done(self):
        return True

    def add_done_callback(self, fn):
        fn(self)

    def cancelled(self):
        return False

    def running(self):
        return False

    def is_active(self):
        return False

    def cancel(self):
        return False

    def add_callback(self, callback):
        return False

    def time_remaining(self):
        return None

    def initial_metadata(self):
        return ()

    def trailing_metadata(self):
        return ()
