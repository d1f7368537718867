"""A round in SimPy: the same plan, cards, policies, services and ledger as on real servers."""

from functools import partial

import simpy

from servicelab.gameday.cards import Kit
from servicelab.gameday.incidents import GRACE, TRIPS, Fate
from servicelab.gameday.ledger import Ledger
from servicelab.gameday.services import Services
from servicelab.policies.drive import sim_call
from servicelab.policies.status import Status
from servicelab.sim.alarm import Alarm
from servicelab.sim.call import Call

HOP = 0.002  # seconds from one service to the next and back


def simulate(plan, cards, script=()) -> Ledger:
    """Play the round ``plan`` with these cards; ``script`` is (order, lever) for each lever that is pulled."""
    env, fate, ledger = simpy.Environment(), Fate(plan, cards, script), Ledger()
    alarm = Alarm(env)
    services = Services(fate, Kit(cards), ledger, lambda: env.now)

    def work(steps):
        try:
            while True:
                yield env.timeout(next(steps))
        except StopIteration as end:
            return Status.OK if end.value == 200 else Status.ERROR

    def pay(n, number):
        yield env.timeout(fate.distance(n) + HOP)
        return (yield from work(services.payment(n, number)))

    def attempt(n, timeout, number):
        if services.knows_the_gone(n):
            return Status.REFUSED
        answer = Call(env, pay(n, number))
        alarm.watch(answer, timeout)
        return (yield answer)

    def order(n):
        began, accepted = env.now, False
        fate.send(n)
        if services.lets_in(n):
            if "queue" not in cards:
                yield env.timeout(TRIPS * fate.distance(n) + HOP)
                yield from work(services.stock(n))
            status = yield from sim_call(env, services.policy(n), partial(attempt, n))
            sent, accepted = services.settle(n, status == Status.OK)
            if sent:
                ledger.shipped.append(n)
        yield env.timeout(HOP)
        ledger.answers.append((n, accepted, env.now - began))

    def customers():
        for n, due in enumerate(plan.due.tolist()):
            yield env.timeout(due - env.now)
            Call(env, order(n))

    env.process(customers())
    env.run(until=plan.due[-1] + GRACE)
    return ledger
