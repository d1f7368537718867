"""The shop in a mesh (chapter 14): what is pushed to the sidecars, what they do with it, and when somebody notices."""

import numpy as np

from servicelab.views.live import LivePanel, Press, Slider
from servicelab.views.theme import BLUE, FAILURE, FAILURE_INK, FORMULA, GREEN, INK, MUTED, SERVICES, VERMILION

ORDERS = 1000
#: Where each stands on the map: a service has its sidecar as a ring around it.
PLACES = {"gateway": (0.8, 1.0), "orders": (3.0, 1.0), "payment v1": (5.1, 1.75), "payment v2": (5.1, 0.25)}
BRAIN = (3.0, 2.75)


class Mesh(LivePanel):
    """The weight of v2, how often it fails, and the sidecars' retries as controls; *Push* sends weight and retries.

    Sliders for weight and retries are what you want: the sidecars know only what was pushed while the brain lived. How
    often v2 fails is no setting of the mesh, and is true at once. v2 charges, and then answers 503; a sidecar chooses
    v1 or v2 once for an order, and retries there, as Envoy does. Right, the chance that at least one of the first so
    many orders has met a 503.
    """

    title = "A new version, a mesh, and its brain"
    question = "Send a tenth to v2 and let it fail. Who notices, after how many orders, and who pays twice?"
    controls = (
        Slider("weight", "to v2 (%)", 0, 100, 0, 5),
        Slider("fails", "v2 charges, then fails (%)", 0, 100, 0, 5),
        Slider("retries", "retries of a sidecar", 0, 4, 0),
        Press("push", "Push"),
        Press("kill", "Kill or revive the brain"),
    )
    size = (900, 370)

    def restart(self):
        self.lives, self.version, self.pushed = True, 0, {"weight": 0, "retries": 0}
        self.dice = np.random.default_rng(self.seed).random((2, ORDERS, 5))

    def push(self):
        if self.lives:
            self.pushed = {name: self.values[name] for name in self.pushed}
            self.version += 1

    def kill(self):
        self.lives = not self.lives

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(1.45, 1))
        left.set(xlim=(-0.1, 7.2), ylim=(-0.75, 3.35), xticks=(), yticks=())
        left.grid(False)
        for side in left.spines.values():
            side.set_visible(False)
        for a, b in (("gateway", "orders"), ("orders", "payment v1"), ("orders", "payment v2")):
            left.plot(*zip(PLACES[a], PLACES[b]), color=MUTED, linewidth=1.2, zorder=1)
        self.wires = [
            self.moving(left.plot(*zip(BRAIN, place), color=MUTED, linewidth=1.2, linestyle=":", zorder=1)[0])
            for place in PLACES.values()
        ]
        self.rings = []
        for name, place in PLACES.items():
            bar, ink = SERVICES[name.split()[0]]
            ring = {"markersize": 34, "markeredgewidth": 4.5, "markerfacecolor": "white"}
            self.rings.append(self.moving(left.plot(*place, "o", color=GREEN, **ring)[0]))
            self.moving(left.plot(*place, "o", color=bar, markersize=20)[0])
            beside = (place[0] + 0.55, place[1]) if "payment" in name else (place[0], place[1] - 0.75)
            align = "left" if "payment" in name else "center"
            left.text(*beside, name, color=ink, weight="bold", ha=align, va="bottom")
        self.counts = {
            name: self.moving(left.text(PLACES[name][0] + 0.55, PLACES[name][1] - 0.08, "", va="top"))
            for name in ("payment v1", "payment v2")
        }
        self.brain = self.moving(left.plot(*BRAIN, "s", color=INK, markersize=22)[0])
        self.cross = self.moving(left.plot(*BRAIN, **FAILURE | {"markersize": 26, "markeredgewidth": 5})[0])
        self.told = self.moving(left.text(BRAIN[0] + 0.45, BRAIN[1] - 0.15, "", va="bottom"))
        self.sums = self.moving(left.text(-0.1, -0.72, "", weight="bold", va="bottom"))
        right.set(xlim=(1, ORDERS), ylim=(0, 104), xscale="log", xlabel="orders so far", ylabel="chance by now (%)")
        right.set_title("Has anybody met a 503?")
        self.curve = self.moving(right.plot([], [], **FORMULA)[0])
        self.first = self.moving(right.plot([], [], "o", color=BLUE, markersize=10)[0])
        self.first_at = self.moving(right.text(0.97, 0.04, "", ha="right", color=BLUE, transform=right.transAxes))

    def update(self, weight, fails, retries):
        share, tries = self.pushed["weight"] / 100, self.pushed["retries"] + 1
        run = orders(self.dice, share, fails / 100, tries)
        p = share * fails / 100
        so_far = np.arange(1, ORDERS + 1)
        self.curve.set_data(so_far, 100 * (1 - (1 - p) ** so_far))
        met = np.flatnonzero(run.met) + 1
        self.first.set_data(met[:1], 100 * (1 - (1 - p) ** met[:1]))
        self.first_at.set_text(f"here: order {met[0]}" if met.size else "")
        wanted = self.pushed == {"weight": weight, "retries": retries}
        for ring in self.rings:
            ring.set_color(GREEN if wanted else VERMILION)
            ring.set_markerfacecolor("white")
        for wire in self.wires:
            wire.set_visible(self.lives)
        self.brain.set_color(INK if self.lives else "#CCCCCC")
        self.cross.set_visible(not self.lives)
        obey = f"{self.pushed['weight']}% to v2, {self.pushed['retries']} retries"
        self.told.set_text(("brain" if self.lives else "no brain") + f"\npushed: {obey}" * (self.version > 0))
        self.counts["payment v1"].set_text(f"{run.at_v1} charges")
        self.counts["payment v2"].set_text(f"{run.at_v2} charges")
        per_order = (run.at_v1 + run.at_v2) / ORDERS
        twice = f"{run.lost} of {ORDERS} orders failed; {run.twice} paid twice or more"
        self.sums.set_text(twice)
        self.sums.set_color(FAILURE_INK if run.lost or run.twice else INK)
        state = "as wanted" if wanted else "which is not what the sliders say"
        seen = f"the first 503 met order {met[0]}" if met.size else "no order has met a 503"
        state += f"; v2 fails {fails}%; the brain " + ("lives" if self.lives else "is dead")
        return f"The sidecars do {obey}, {state}. {twice}; executions an order: {per_order:.3g}; {seen}."


class Run:
    """``met`` a 503 (for each order), how many were ``lost``, paid ``twice`` or more often, and charges at each."""

    def __init__(self, met, lost, twice, at_v1, at_v2):
        self.met, self.lost, self.twice, self.at_v1, self.at_v2 = met, lost, twice, at_v1, at_v2


def orders(dice, share, fails, tries):
    """What becomes of orders that make up to ``tries`` attempts; ``dice`` has two uniform numbers for each attempt.
    (Of those that choose a version only the first counts: a retry stays with it.)"""
    to_v2 = dice[0, :, :1] < share
    failed = to_v2 & (dice[1, :, :tries] < fails)
    made = np.concatenate([np.ones((len(failed), 1), bool), np.cumprod(failed, axis=1)[:, :-1].astype(bool)], axis=1)
    charges = made.sum(axis=1)
    return Run(
        failed[:, 0], int(failed.all(axis=1).sum()), int((charges > 1).sum()),
        int((made & ~to_v2).sum()), int((made & to_v2).sum()),
    )  # fmt: skip
