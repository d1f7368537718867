"""Which of many servers a client keeps connections to."""

from collections.abc import Sequence
from random import Random

from servicelab import arguments


def subset(client: int, servers: Sequence, size: int) -> list:
    """The ``size`` servers that client number ``client`` (0, 1, …) knows.

    Clients go in rounds. In a round the servers are shuffled, alike for all its clients, and dealt out like cards, so
    that each server has one client of it. After whole rounds all servers have the same number of clients; in
    between they differ by one at most. What is left over when the cards do not come out even stays without a client for
    that round. Source: "Site Reliability Engineering" (O'Reilly, 2016), chapter 20, "deterministic subsetting".
    Raises ValueError for a negative client, and for a size that is not from 1 to the number of servers.
    """
    client = arguments.whole("client", client, "clients are numbered from 0", least=0)
    size = arguments.whole("size", size, "a client knows one server at least, and all at most", most=len(servers))
    hands = len(servers) // size
    deck = list(servers)
    Random(client // hands).shuffle(deck)
    hand = client % hands
    return deck[hand * size : (hand + 1) * size]
