"""A flood at the door (chapter 07): what copies, limits and further gateways leave for the service behind."""

from random import Random

import numpy as np

from servicelab.policies.expiry import Coalesce, Expire, FetchEarly
from servicelab.policies.limiter import TokenBucket
from servicelab.sim.gateway import OWN, REFUSED, WRONG, flood
from servicelab.views.live import Choice, LivePanel, Slider
from servicelab.views.theme import BLUE, FAILURE_INK, FORMULA, GREEN, MUTED, ORANGE, SIMULATED, VERMILION

UNTIL, BIN = 12.0, 0.25  # seconds
RATE, BURST = 60, 20  # of a limit: calls/s, calls
HIGHEST = 500  # calls/s that the picture has room for

#: The first of each is what the panel opens on: the scene with which the chapter begins.
KEYS = {"by path": "path", "by path, baskets never": "user", "not at all": None}
RULES = {
    "everybody fetches": lambda seed: Expire(),
    "one fetches for all": lambda seed: Coalesce(),
    "early, by chance": lambda seed: FetchEarly(Random(f"early {seed}")),
}
LIMITS = ("none", f"{RATE}/s in each gateway", f"{RATE}/s in all together")


class Door(LivePanel):
    """Load, what the copies are kept by, who fetches, the limit, and the number of gateways as controls.

    Left, calls a second at the gateways and behind them. Right, what became of a hundred calls.
    """

    title = "A flood at the door"
    question = "Hold the service near the dashed line, and let nobody see another's basket. How many hear 429?"
    controls = (
        Slider("load", "calls/s at the door", 50, 400, 300, 50),
        Choice("key", "answers are kept", tuple(KEYS)),
        Choice("rule", "a copy too old", tuple(RULES)),
        Choice("limit", "limit", LIMITS),
        Slider("gateways", "gateways", 1, 4, 1),
    )

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(1.5, 1))
        left.set(xlim=(0, UNTIL), ylim=(0, HIGHEST), xlabel="time (s)", ylabel="calls/s")
        left.set_title("At the door, and behind it")
        left.axhline(RATE, **FORMULA)
        self.front = self.moving(left.plot([], [], color=MUTED, linewidth=1.2, label="at the door")[0])
        self.behind = self.moving(left.plot([], [], **SIMULATED, label="behind it")[0])
        left.legend(loc="upper right", ncols=2)
        kinds = ("served by a copy", "served by the service", "429", "✗ another's basket")
        right.set(xlim=(0, 100), xlabel="of 100 calls", yticks=range(4), ylim=(3.6, -0.6))
        right.set_yticklabels(kinds)
        right.grid(False)
        colours = (GREEN, BLUE, ORANGE, VERMILION)
        bars = right.barh(range(4), [0] * 4, color=colours)
        self.bars = [self.moving(bar) for bar in bars]
        inks = ("black", "black", "black", FAILURE_INK)
        self.counts = [self.moving(right.text(0, n, "", va="center", color=ink)) for n, ink in enumerate(inks)]

    def update(self, load, key, rule, limit, gateways):
        shared = TokenBucket(RATE, BURST)
        laws = {LIMITS[0]: lambda: None, LIMITS[1]: lambda: TokenBucket(RATE, BURST), LIMITS[2]: lambda: shared}[limit]
        kept = KEYS[key] is not None
        run = flood(
            [RULES[rule](f"{self.seed} {n}") if kept else None for n in range(gateways)],
            [laws() for _ in range(gateways)],
            load,
            UNTIL,
            key=KEYS[key] or "user",
            seed=self.seed,
        )
        edges = np.arange(0, UNTIL + BIN / 2, BIN)
        middle = (edges[1:] + edges[:-1]) / 2
        for line, moments in ((self.front, run.front), (self.behind, run.behind)):
            line.set_data(middle, np.minimum(np.histogram(moments, edges)[0] / BIN, HIGHEST))
        calls, behind = len(run.front), len(run.behind)
        wrong, refused = run.became[WRONG], run.became[REFUSED]
        copies = run.became[OWN] + wrong - behind
        for bar, text, count in zip(self.bars, self.counts, (copies - wrong, behind, refused, wrong)):
            share = 100 * max(0, count) / calls
            bar.set_width(share)
            text.set(text=f"{share:.0f}", x=min(share + 2, 90))
        per_second, turned_away = behind / UNTIL, 100 * refused / calls
        return (
            f"{load} calls/s at {gateways} gateway{'s' * (gateways > 1)}, kept {key}, {rule}, limit {limit}: behind "
            f"the door {per_second:.0f} calls/s on average, {turned_away:.0f} of 100 calls were turned away, and "
            f"{wrong} customers saw another's basket."
        )
