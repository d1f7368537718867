"""Consul's key-value API. Locks need sessions, which this registry has not: every session is an invalid one."""

from servicelab.servers.registry import shapes, values
from servicelab.servers.registry.agent import Agent
from servicelab.servers.registry.api import Answer, Ask, Query, Refused, as_json

LARGEST = 512 * 1024  # bytes; Consul's kv_max_value_size


def handle(agent: Agent, ask: Ask) -> Answer | Query:
    return {"GET": _get, "PUT": _put, "DELETE": _delete}[ask.method](agent, ask)


def _get(agent: Agent, ask: Ask) -> Query:
    kv, key = agent.kv, ask.rest
    if ask.has("keys"):
        separator = ask.get("separator") or ask.get("seperator")  # Consul once misspelt it, and takes both

        def keys():
            found = kv.keys(key, separator)
            return as_json(found) if found or not key else Answer(status=404)

        return Query(lambda: kv.index_under(key), keys)
    if ask.has("recurse"):

        def entries():
            found = [shapes.entry(entry) for entry in kv.under(key)]
            return as_json(found) if found else Answer(status=404)

        return Query(lambda: kv.index_under(key), entries)
    _required(key)

    def one():
        entry = kv.get(key)
        if entry is None:
            return Answer(status=404)
        if ask.has("raw"):
            return Answer(entry.value, kind="text/plain", headers={"X-Content-Type-Options": "nosniff"})
        return as_json([shapes.entry(entry)])

    return Query(lambda: kv.index_of(key), one)


def _put(agent: Agent, ask: Ask) -> Answer:
    _required(ask.rest)
    _one_of(ask, "cas", "acquire", "release")
    flags, cas = _number(ask, "flags") or 0, _number(ask, "cas")
    for lock in ("acquire", "release"):
        if ask.has(lock):
            raise Refused(500, f'invalid session "{ask.get(lock)}"')
    if len(ask.body) > LARGEST:
        raise Refused(413, f"Request body({len(ask.body)} bytes) too large, max size: {LARGEST} bytes.")
    return as_json(agent.write_kv(agent.kv.put, ask.rest, ask.body, flags, cas))


def _delete(agent: Agent, ask: Ask) -> Answer:
    _one_of(ask, "recurse", "cas")
    if not ask.has("recurse"):
        _required(ask.rest)
    cas = _number(ask, "cas")
    return as_json(agent.write_kv(agent.kv.delete, ask.rest, recurse=ask.has("recurse"), cas=cas))


def _required(key: str) -> None:
    if not key:
        raise Refused(400, "Missing key name")


def _one_of(ask: Ask, *names: str) -> None:
    if sum(ask.has(name) for name in names) > 1:
        raise Refused(400, f"Conflicting flags: {'&'.join(f'{n}={ask.get(n)}' for n in sorted(ask.query))}\n")


def _number(ask: Ask, name: str) -> int | None:
    """Consul answers a bad one with 500."""
    try:
        return values.unsigned(ask.get(name)) if ask.has(name) else None
    except ValueError as error:
        raise Refused(500, str(error)) from None
