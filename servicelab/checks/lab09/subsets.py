"""Exercise 3, build: which of many servers a client knows. Only counting; no socket is needed."""

import random
from collections import Counter

from servicelab.checks.lab09.ring import another_hash
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
not-so-many: a client knows as many different servers of the list as it should
    Where do the cards come from when the deck is at its end?
few-servers: when there are fewer servers than it should know, it knows all of them
    What becomes of the missing ones?
uneven: after whole rounds each server has the same number of clients
    What does chance do to the busiest of ten when each draws for itself?
between: the same after any number of clients: they differ by one at most
    Whom does a client take that comes in the middle of a round?
left-over: the same when the servers cannot be dealt out evenly, as ten in threes
    Who is left over at the end of a round, and where is he in the next one?
packs: of forty clients at least thirty have a subset that nobody else has
    Who is dealt together in one round should not be together in the next.
order: the list comes in another order: the client knows the same servers
    A registry promises no order.
another-time: asked again, and in another process, it says the same
    What differs from one call, or one process, to the next?
list-changed: the list that it was given is as it was
    Which functions work in place?
chance-disturbed: others who use the module `random` draw what they would have drawn
    Whose generator do you seed?
""")


class Dealt(Stage):
    def hands(self, clients, servers, size):
        """The subsets of these clients, a number or a range."""
        clients = range(clients) if isinstance(clients, int) else clients

        def subset():
            return [self.yours(client, list(servers), size) for client in clients[1:]]

        subset.__name__ = f"subset, for {len(clients)} clients one after another,"
        found = [self.call(self.yours, clients[0], list(servers), size), *self.call(subset, limit=6.0)]
        for client, hand in list(zip(clients, found))[:3]:
            self.draw(client, hand)
        for client, hand in zip(clients, found):
            code = "few-servers" if size > len(servers) else "not-so-many"
            if not isinstance(hand, list | tuple | set | frozenset):
                code = "wrong-type"
            elif len(hand) == min(size, len(servers)) and len(set(hand) & set(servers)) == len(hand):
                continue
            self.draw(client, hand)
            self.refuse(code, f"{size} of {len(servers)} servers for client {client}: {shown(hand)}")
        return found

    def draw(self, client, hand):
        for name in hand if isinstance(hand, list | tuple | set | frozenset) else [shown(hand, 20)]:
            self.last = self.ask.trace.send(f"client {client}", "servers", shown(name, 20).strip("'"))
            self.ask.trace.receive(self.last, "servers")

    def gap(self, clients, servers, size):
        """By how much the servers' clients differ in number, and that in words."""
        counts = Counter(name for hand in self.hands(clients, servers, size) for name in hand)
        least, most = (limit(counts[name] for name in servers) for limit in (min, max))
        who = f"{clients} clients" if isinstance(clients, int) else f"clients {clients[0]} to {clients[-1]}"
        return most - least, f"{who}, {size} of {len(servers)} each: a server has {least} to {most} of them"


def named(count):
    return [f"stock-{number:02}" for number in range(count)]


WORDS["wrong-type"] = "subset returns a list of servers", "Does every path through it end with a return?"
check_subsets = scenario("09", 3, "Subsets", WORDS, subset=Dealt)
part = check_subsets.part


@part
def even_rounds(d):
    for clients, count, size in ((24, 12, 3), (60, 20, 5)):
        gap, told = d.gap(clients, named(count), size)
        yield "uneven", gap == 0, told
    for clients, count, size in ((10, 12, 3), (33, 20, 5), (1, 8, 2), (27, 12, 4)):
        gap, told = d.gap(clients, named(count), size)
        yield "between", gap <= 1, told
    for clients, count, size in ((10, 10, 3), (37, 10, 3), (40, 7, 4), (23, 11, 10), (9, 5, 5)):
        gap, told = d.gap(clients, named(count), size)
        yield "left-over", gap <= 1, told
    gap, told = d.gap(range(1092, 1105), named(13), 5)  # 1092 clients come out even, 84 rounds of 13, and 1105 do
    yield "left-over", gap == 0, told
    d.hands(3, named(4), 9)


@part
def no_packs(d):
    alike = Counter(frozenset(hand) for hand in d.hands(40, named(20), 5))
    alone = sum(many == 1 for many in alike.values())
    yield "packs", alone >= 30, f"{alone} have one of their own; there are {len(alike)} different ones"


@part
def the_same_again(d):
    servers, first = named(11), [set(hand) for hand in d.hands(12, named(11), 4)]
    again = [set(hand) for hand in d.hands(12, servers, 4)]
    with another_hash():
        elsewhere = [set(hand) for hand in d.hands(12, servers, 4)]
    yield "another-time", first == again == elsewhere, "some of twelve clients know others, then or there"
    turned = [set(hand) for hand in d.hands(12, servers[::-1], 4)]
    moved = sum(one != other for one, other in zip(first, turned))
    yield "order", not moved, f"{moved} of twelve clients know others"


@part
def nothing_disturbed(d):
    servers, before = named(8)[::-1], random.getstate()
    d.hands(2, servers, 3)
    d.call(d.yours, 5, servers, 3)
    yield "list-changed", servers == named(8)[::-1], f"it is {shown(servers)} now"
    same, _ = random.getstate() == before, random.setstate(before)
    yield "chance-disturbed", same, "after your function, random.random() draws something else"
