"""Exercise 4: events that are enough, and events that are too little or too much."""

from tests.lab11_answers import but


def event(kind, order):
    return {"kind": kind, **{name: order[name] for name in ("id", "version", "address", "lines")}}


class Shipping:
    """Keeps the newest address of each order, and which parcels have gone."""

    def __init__(self, ask, send):
        self.ask, self.send, self.newest, self.gone = ask, send, {}, set()

    def hear(self, event):
        id, known = event["id"], (event["version"], event["address"])
        if event["kind"] in ("paid", "moved"):
            self.newest[id] = max(known, self.newest.get(id, known))
        if event["kind"] == "paid" and id not in self.gone:
            self.gone.add(id)
            self.send({"order": id, "address": self.newest[id][1], "lines": event["lines"]})


def only_what_it_takes(kind, order):
    """Each kind says what it is about, in short names."""
    told = {"what": kind, "o": order["id"], "v": order["version"]}
    if kind in ("paid", "moved"):
        told["to"] = order["address"]
    if kind == "paid":
        told["lines"] = [[line["article"], line["count"]] for line in order["lines"]]
    return told


class ByKind:
    """A method for each kind; an order is a small state of its own."""

    def __init__(self, ask, send):
        self.send, self.known = send, {}

    def hear(self, event):
        getattr(self, "on_" + event["what"], lambda event: None)(event)

    def on_moved(self, event):
        state = self.known.setdefault(event["o"], {"v": 0, "to": None, "sent": False})
        if event["v"] > state["v"]:
            state.update(v=event["v"], to=event["to"])
        return state

    def on_paid(self, event):
        state = self.on_moved(event)
        if not state["sent"]:
            lines = [{"article": article, "count": count} for article, count in event["lines"]]
            state["sent"] = True
            self.send({"lines": lines, "address": state["to"], "order": event["o"]})


def as_a_letter(kind, order):
    """CloudEvents' way: an envelope, and the data in it."""
    data = {"address": order["address"], "lines": order["lines"]}
    return {"type": kind, "subject": order["id"], "id": f"{order['id']}/{order['version']}", "data": data}


def by_log(ask, send):
    """A closure that keeps all events of an order, and looks through them."""
    heard, sent = [], []

    class Log:
        def hear(self, event):
            if event["type"] not in {"paid", "moved"}:
                return
            heard.append(event)
            mine = [one for one in heard if one["subject"] == event["subject"]]
            newest = sorted(mine, key=lambda one: int(one["id"].split("/")[1]))[-1]
            if event["type"] == "paid" and event["subject"] not in sent:
                sent.append(event["subject"])
                data = event["data"] | {"address": newest["data"]["address"]}
                send({"order": event["subject"], **data})

    return Log()


def with_more(*names):
    return lambda kind, order: event(kind, order) | {name: order[name] for name in names}


def to_others(kind, order):
    """All of it to those who are not in the warehouse."""
    return event(kind, order) if kind in ("paid", "moved") else {"kind": kind, **order, "history": []}


def thin(kind, order):
    return {"kind": kind, "id": order["id"], "version": order["version"]}


Asks = but(Shipping, "id, known = => event = self.ask(event['id']) | event\n        id, known =")
RIGHT = {
    "four entries": (event, Shipping),
    "what each kind is about": (only_what_it_takes, ByKind),
    "a letter and a log": (as_a_letter, by_log),
}
WRONG = {
    "lines in a set": (lambda kind, order: event(kind, order) | {"lines": {"mug"}}, "no-json"),
    "the bytes of the address": (lambda *of: event(*of) | {"address": of[1]["address"].encode()}, "no-json"),
    "no number": (lambda kind, order: event(kind, order) | {"weight": float("nan")}, "no-json"),
    "a list": (lambda kind, order: [kind, order["id"]], "wrong-type"),
    "the whole order": (lambda kind, order: {"kind": kind, **order}, "too-large"),
    "with its history": (with_more("history"), "too-large"),
    "with the card": (with_more("card"), "private"),
    "with the card's number": (lambda *of: event(*of) | {"n": of[1]["card"].replace(" ", "")}, "private"),
    "with the card for others": (to_others, "private"),
    "with a loud mail": (lambda *of: event(*of) | {"to": of[1]["email"].upper()}, "private"),
}
WRONG = {"thin": ((thin, Asks), {"outage"}), **{name: ((one, Shipping), {code}) for name, (one, code) in WRONG.items()}}
NEWER, IS_OURS = "max(known, self.newest.get(id, known))", 'event["kind"] in ("paid", "moved")'
SHIPPING = {
    "sends at the wrong event": ('== "paid" => == "moved"', "not-sent"),
    "a parcel without lines": (', "lines": event["lines"] => ', "not-sent"),
    "asks to be sure": (
        "id, known = => try:\n            self.ask(event['id'])\n        except OSError: pass\n        id, known =",
        "asks-orders",
    ),
    "asks about others": (f"id, known = => {IS_OURS} or self.ask(event['id'])\n        id, known =", "asks-orders"),
    "asks again": (
        "id, known = => event['id'] in self.gone and self.ask(event['id'])\n        id, known =",
        "asks-orders",
    ),
    "sends again": ("self.gone.add(id) => pass", "twice"),
    "remembers the last": ("self.gone.add(id) => self.gone = {id}", "twice"),
    "once a version": (
        "id not in self.gone => known not in self.gone",
        "self.gone.add(id) => self.gone.add(known)",
        "twice",
    ),
    "sends after": ('"paid" and id not in self.gone => ("moved" if id in self.gone else "paid")', "twice"),
    "the address as it was": ("self.newest[id][1] => event['address']", "moved"),
    "who moved is right": ('event["version"], => event["version"] + 1000 * (event["kind"] == "moved"),', "moved"),
    "who came first": (f"{NEWER} => self.newest.get(id, known)", "moved"),
    "versions as text": ('event["version"], => str(event["version"]),', "moved"),
    "the last wins": (f"{NEWER} => known if event['kind'] == 'moved' else {NEWER}", "moved"),
    "any kind": (f"{IS_OURS} => True", '== "paid" => != "moved"', "other-kind"),
    "moved, and away": ('== "paid" => in ("paid", "moved")', "other-kind"),
    "forgets at other kinds": (
        'if event["kind"] == "paid" => else:\n            self.gone.discard(id)\n        if event["kind"] == "paid"',
        "other-kind",
    ),
    "begins like paid": (
        f"{IS_OURS} => True",
        '["kind"] == "paid" => ["kind"].lower().startswith("paid")',
        "other-kind",
    ),
    "learns from all": (f"{NEWER} => {NEWER}\n        else:\n            self.newest[id] = known", "other-kind"),
    "two kinds only": ('id, known = => {"paid": 1, "moved": 2}[event["kind"]]\n        id, known =', "other-kind"),
}
WRONG |= {name: ((event, but(Shipping, *changes)), {code}) for name, (*changes, code) in SHIPPING.items()}
