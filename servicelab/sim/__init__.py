"""The simulation vocabulary: what a microservice is made of, in SimPy.

Everything callable is a *place*: ``status = yield from place.call(message)``. Places nest like
pipes, so a whole system is one expression::

    env = simpy.Environment()
    draws = Draws(seed=1)
    orders = Service(env, "orders", work=draws.exponential("work", 0.010), workers=2)
    client = Client(env, Link(env, orders, delay=0.001), policy=Timeout(0.5))
    journeys = poisson(env, rate=120, place=client, draws=draws, count=1000)
    env.run(until=60)

* ``message`` what is sent · ``place`` what a place is · ``draws`` random numbers that stay comparable
* ``service``, ``link``, ``balancer``, ``shards``, ``client`` the places
* ``queue`` a message queue and its broker, ``publisher`` and ``consumer`` those at its ends, ``task`` what they hand on
* ``call``, ``first_of`` a call under way, and waiting for the first of two things (both an ``immediate`` event);
  ``alarm`` tells calls that their time is up, ``pause`` is a cheaper ``env.timeout``
* ``arrivals`` open and closed loops of requests · ``journeys`` what became of each
* ``recursion`` the same queue as an array formula, for steady state

Three more are imported from their own modules: ``sweep`` (an experiment at every point of a grid, on all cores),
``outage`` (the failure that outlives its cause, its remedies, its phase map) and ``storm`` (it, as a recursion).

Service discovery has modules of its own, too: ``registry`` (leases, heartbeats, a network that can be cut) and
``discovery`` (clients that find out by asking, watching, polling or DNS, and what a dead instance costs them).

``fleet`` runs many instances behind a balancer, long enough for a mean; ``gateway`` a flood at gateways with copies
and limits.

``stream`` has a producer, a bounded buffer, a slow reader, credit, dead peers and reconnect storms; ``pubsub`` one
publisher and subscribers who come too late or read too slowly.

Times are in seconds, rates in requests/s. A call ends with a status (:class:`servicelab.policies.Status`),
never with an exception: an exception in a simulation is a mistake in the model, and stops the run.
"""

from servicelab.sim.arrivals import poisson, replay, users
from servicelab.sim.balancer import Balancer
from servicelab.sim.call import Call
from servicelab.sim.client import Client
from servicelab.sim.consumer import Consumer
from servicelab.sim.draws import Draws, Law
from servicelab.sim.first_of import FirstOf
from servicelab.sim.journeys import Journey, Journeys
from servicelab.sim.link import Link
from servicelab.sim.message import Message
from servicelab.sim.publisher import Publisher
from servicelab.sim.queue import Broker, Queue
from servicelab.sim.recursion import free_at, lindley
from servicelab.sim.service import Service
from servicelab.sim.shards import Shards
from servicelab.sim.task import Letter, Outcome, Task, outcome, waits

__all__ = [
    "Balancer",
    "Broker",
    "Call",
    "Client",
    "Consumer",
    "Draws",
    "FirstOf",
    "Journey",
    "Journeys",
    "Law",
    "Letter",
    "Link",
    "Message",
    "Outcome",
    "Publisher",
    "Queue",
    "Service",
    "Shards",
    "Task",
    "free_at",
    "lindley",
    "outcome",
    "poisson",
    "replay",
    "users",
    "waits",
]
