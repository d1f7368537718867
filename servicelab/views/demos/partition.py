"""The partition (chapter 08): a registry cut off from the instances it counts, and four rules for what to believe."""

import functools
from random import Random

import numpy as np

from servicelab.leases import NeverEvict, SelfPreservation, TTLExpiry
from servicelab.sim.discovery import Discovery
from servicelab.views.live import Choice, LivePanel, Slider
from servicelab.views.theme import BLUE, FAILURE_INK, FORMULA, GREEN, MUTED, SIMULATED, VERMILION

#: What happens when (seconds): the cut, the deaths behind it, the cable mended, the end.
CUT, DEATH, HEAL, END = 8.0, 18.0, 28.0, 40.0
#: The first seconds, in which everybody comes, are not shown.
BEGIN = 3.0

INSTANCES, CLIENTS, RATE = 8, 6, 5.0  # and calls/s of each client
TTL, HEARTBEAT, PERIOD = 5.0, 1.5, 1.0  # seconds

#: Who is cut off from the registry. The customers' calls always get through to the instances.
CUTS = {
    "nobody": (),
    "half of the instances": ("west",),
    "all of the instances": ("east", "west"),
    "all, and the customers": ("east", "west", "customers"),
}

RULES = {
    "evict what is late": lambda: {"eviction": TTLExpiry()},
    "self-preservation": lambda: {
        "eviction": SelfPreservation(Random(1), renewal_interval=HEARTBEAT, window=2 * HEARTBEAT, interval=HEARTBEAT)
    },
    "panic threshold": lambda: {"eviction": TTLExpiry(), "panic": 0.5},
    "never evict": lambda: {"eviction": NeverEvict()},
}


class Partition(LivePanel):
    """Who is cut off, the rule, how many really die, and how busy the shop is, as controls.

    The dashed line is the share of calls that would work if the customers knew who is alive.
    """

    title = "A registry that is cut off"
    question = "Which rule keeps the shop open? And what does it cost when somebody really dies?"
    ghost = True  # several settings do the same
    controls = (
        Choice("cut", "cut off from the registry", tuple(CUTS), "half of the instances"),
        Choice("rule", "rule", tuple(RULES)),
        Slider("dead", "instances that really die, of 8", 0, 4, 0),
        Slider("load", "load of the eight (%)", 10, 90, 60, 10),
    )

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(2.2, 1))
        left.set(xlim=(BEGIN, END), ylim=(-4, 108), xlabel="time (s)", ylabel="calls that work (%)")
        left.set_title("The customers")
        for at, what in ((CUT, "cut"), (DEATH, "deaths"), (HEAL, "mended")):
            left.axvline(at, color=MUTED, linewidth=1)
            left.text(at + 0.3, 4, what, color=MUTED)
        self.best = self.moving(left.plot([], [], **FORMULA, label="if they knew")[0])
        self.works = self.moving(left.plot([], [], **SIMULATED, drawstyle="steps-post", label="simulated")[0])
        left.legend(loc="center right")
        right.set(xlim=(BEGIN, END), ylim=(-0.4, INSTANCES + 0.6), xlabel="time (s)", ylabel="instances")
        right.set_title("The book")
        self.alive = self.moving(right.plot([], [], color=GREEN, drawstyle="steps-post")[0])
        self.known = self.moving(right.plot([], [], color=BLUE, linestyle="--", drawstyle="steps-post")[0])
        right.text(BEGIN + 0.5, 0.9, "alive", color=GREEN, weight="bold")
        right.text(BEGIN + 0.5, 0.1, "passing", color=BLUE, weight="bold")
        self.verdict = self.moving(left.text(BEGIN + 0.5, 50, "", color=FAILURE_INK, weight="bold"))

    def update(self, cut, rule, dead, load):
        course, known, usable = run(self.seed, cut, rule, dead, load / 100)
        alive = np.array([(BEGIN, INSTANCES), (DEATH, INSTANCES - dead), (END, INSTANCES - dead)]).T
        self.works.set_data(*course)
        self.known.set_data(*known)
        self.alive.set_data(*alive)
        room = min(1.0, (INSTANCES - dead) / INSTANCES / (load / 100)) * 100
        self.best.set_data([BEGIN, DEATH, DEATH, END], [100, 100, room, room])
        self.works.set_color(VERMILION if usable[0] < 0.5 else SIMULATED["color"])
        self.verdict.set_text("the shop is closed" if usable[0] < 0.05 else "")
        died = f", and {usable[1]:.0%} after {dead} of 8 have died" if dead else ""
        return (
            f"Cut off: {cut}; rule: {rule}; load {load}%. During the cut {usable[0]:.0%} of the calls work{died}. "
            f"At the least {int(known[1][(known[0] > CUT) & (known[0] < HEAL)].min())} of 8 were passing in the book."
        )


@functools.lru_cache(maxsize=64)  # who compares goes back and forth
def run(seed, cut, rule, dead, load):
    """(times, % of calls that work), (times, instances passing), (share late in the cut, and after the deaths)."""
    shop = Discovery(
        "poll",
        clients=CLIENTS,
        instances=INSTANCES,
        rate=RATE,
        period=PERIOD,
        ttl=TTL,
        heartbeat=HEARTBEAT,
        sides=("east", "west"),
        askers=("customers",),
        capacity=CLIENTS * RATE / INSTANCES / load,
        seed=seed,
        **RULES[rule](),
    )
    known = []

    def look():
        while True:
            passing = shop.registry.catalog.instances("orders", passing=True)
            known.append((shop.env.now, len(passing)))
            yield shop.env.timeout(0.5)

    shop.env.process(look())
    shop.run(CUT)
    for side in CUTS[cut]:
        shop.network.cut(side, "registry")
    shop.run(DEATH)
    # Behind the cut first, if anybody is.
    for instance in sorted(shop.instances.values(), key=lambda instance: instance.side not in CUTS[cut])[:dead]:
        instance.kill()
    shop.run(HEAL)
    shop.network.heal()
    shop.run(END)
    at, share = shop.course(bin=1.0)
    settled = CUT + TTL + 2 * PERIOD  # what the cut does, it has done by then
    return (at, share * 100), np.array(known).T, (shop.usable(settled, DEATH), shop.usable(DEATH, HEAL))
