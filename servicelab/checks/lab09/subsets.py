"""Exercise 3, build: which of many servers a client knows. Only counting; no socket is needed."""

import random
from collections import Counter

from servicelab.checks.lab09.ring import another_hash
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-type: subset returns a list, a tuple or a set
    Does every path through it end with a return?
so-many: a client knows as many different servers of the list as it should, or all of them, if there are fewer
    Where do the cards come from when the deck is at its end, or has fewer cards than a hand?
uneven: after any number of clients the servers' numbers of clients differ by one at most
    What does chance do to the busiest of ten when each draws for itself? Whom does a client take that comes in the
    middle of a round?
left-over: the same when the servers cannot be dealt out evenly, as ten in threes
    Who is left over at the end of a round, and where is he in the next one?
packs: of forty clients at least thirty have a subset that nobody else has
    Who is dealt together in one round should not be together in the next.
order: the list comes in another order: the client knows the same servers
    A registry promises no order.
another-time: asked again, in another process, it says the same
    What differs from one call, or one process, to the next?
disturbed: the list that it was given is as it was, and others draw from the module `random` what they would have drawn
    Which functions work in place? Whose generator do you seed?
""")
STOCKS = [f"stock-{number:02}" for number in range(20)]
#: Clients, servers, size. The last 13 are one whole round: 1092 clients before them come out even, too.
DEALT = (range(24), 12, 3), (range(33), 20, 5), (range(27), 12, 4), (range(9), 5, 5), (range(3), 4, 9)
DEALT += (range(37), 10, 3), (range(40), 7, 4), (range(23), 11, 10), (range(1092, 1105), 13, 5)


class Dealt(Stage):
    def hands(self, clients, servers, size):
        """The subsets of these clients, as sets."""

        def subset():
            return [self.yours(client, list(servers), size) for client in clients[1:]]

        subset.__name__ = f"subset, for {len(clients)} clients one after another,"
        found = [self.call(self.yours, clients[0], list(servers), size), *self.call(subset, limit=6.0)]
        for client, hand in zip(clients, found):
            is_hand = isinstance(hand, list | tuple | set | frozenset)
            fits = is_hand and len(hand) == sum(name in hand for name in servers) == min(size, len(servers))
            if client < clients[0] + 3 or not fits:
                self.draw(f"client {client}", "servers", shown(hand, 60))
            if not fits:
                told = f"{size} of {len(servers)} servers for client {client}: {shown(hand)}"
                self.refuse("so-many" if is_hand else "wrong-type", told)
        return [set(hand) for hand in found]


check_subsets = scenario("09", 3, "Subsets", WORDS, subset=Dealt)
part = check_subsets.part


@part
def evenly(d):
    for clients, count, size in DEALT:
        counts = Counter(name for hand in d.hands(clients, STOCKS[:count], size) for name in hand)
        least, most = (limit(counts[name] for name in STOCKS[:count]) for limit in (min, max))
        told = f"clients {clients[0]} to {clients[-1]}, {size} of {count} each: a server has {least} to {most} of them"
        yield "left-over" if count % size else "uneven", most - least <= 1, told


@part
def no_packs(d):
    alike = Counter(map(frozenset, d.hands(range(40), STOCKS, 5)))
    alone = sum(many == 1 for many in alike.values())
    yield "packs", alone >= 30, f"{alone} have one of their own; there are {len(alike)} different ones"


@part
def the_same_again(d):
    first = d.hands(range(12), STOCKS[:11], 4)
    for code, servers in (("another-time", STOCKS[:11]), ("order", STOCKS[10::-1])):
        with another_hash():
            moved = sum(one != other for one, other in zip(first, d.hands(range(12), servers, 4)))
        yield code, not moved, f"{moved} of twelve clients know others"


@part
def nothing_disturbed(d):
    servers, before = STOCKS[7::-1], random.getstate()
    d.hands(range(2), servers, 3)
    d.call(d.yours, 5, servers, 3)
    same, _ = random.getstate() == before, random.setstate(before)
    yield "disturbed", servers == STOCKS[7::-1], f"the list is {shown(servers)} now"
    yield "disturbed", same, "after your function, random.random() draws something else"
