"""Refuses what cannot be served, before anything is started."""

import inspect

from servicelab.arguments import whole
from servicelab.lifecycle import ServerError
from servicelab.trace import Trace

MOST_WORKERS = 256


def check_app(app, name):
    """Refuse what is not a WSGI app: it would only fail at the first request."""
    mend = f"serve(app, {name!r}) takes a WSGI app, for example app = Flask('{name}')"
    if not callable(app):
        raise ServerError(f"{app!r} is no web app: {mend}")
    if inspect.isclass(app):
        raise ServerError(f"the class {app.__name__} is no web app yet, an object of it may be: {mend}")
    if not _takes(app, {}, None):
        raise ServerError(
            f"{_called(app)} cannot be called with (environ, start_response): {mend}. "
            "A function that builds the app is called first, or given with process=True."
        )


def check_factory(factory, name):
    """Refuse what cannot build an app in a child process."""
    if not callable(factory) or not _takes(factory):
        raise ServerError(
            f"{_called(factory)} cannot build an app: with process=True, serve(make_app, {name!r}) takes a function "
            "without arguments which builds the app and returns it. It runs in the child process."
        )


def check_options(name, trace, workers):
    if trace is not None and not isinstance(trace, Trace):
        raise ServerError(f"trace={trace!r} is no trace: give {name} a servicelab.trace.Trace(), or leave it out")
    try:
        whole("workers", workers, most=MOST_WORKERS)
    except (TypeError, ValueError) as error:
        raise ServerError(str(error)) from None


def _takes(function, *arguments) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # written in C: it does not say
        pass
    return True


def _called(thing) -> str:
    return repr(getattr(thing, "__name__", thing))
