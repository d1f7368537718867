"""A hidden fault (chapter 12): a wall of four dashboards, and three instruments that count the records they read."""

import numpy as np

from servicelab.views.live import Choice, LivePanel, Press, Slider
from servicelab.views.theme import BLUE, FAILURE_INK, MUTED, SERVICES, VERMILION

#: What may be ill: one instance of inventory, the whole of payment or of orders, or one article wherever it is paid.
SIZES = ("one instance", "a whole service", "one article")
WALL = "the wall alone"
INSTRUMENTS = (WALL, "logs", "metrics", "traces")
ARTICLES = ("mug", "cup", "bowl", "plate", "fork", "knife", "spoon", "jug")
INSTANCES, MINUTES, BEGIN = 4, 20, 10
SLOW = 0.25  # seconds that the fault adds
OWN = {"gateway": 0.004, "orders": 0.006, "inventory": 0.008, "payment": 0.012}  # seconds, in the mean


class Hunt(LivePanel):
    """What is ill, the instrument, and the traffic as controls; *Break something else* hides the fault anew.

    Left, what the wall shows: the mean time of each service, minute by minute. Right, what the search has read, on a
    logarithmic scale.
    """

    title = "Something is slow"
    question = "Who is it? Look at the wall first. Which instrument tells it, and for how many records?"
    controls = (
        Choice("size", "what is ill", SIZES),
        Choice("instrument", "look with", INSTRUMENTS),
        Slider("orders", "orders in 20 minutes", 200, 5000, 1000, 100),
        Press("again", "Break something else"),
    )

    def restart(self):
        self.hidden = 0
        super().restart()

    def again(self):
        self.hidden += 1
        self.redraw()

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(1.4, 1))
        left.set(xlim=(0, MINUTES + 5), ylim=(0, 330), xlabel="minute", ylabel="mean time (ms)")
        left.set_title("The wall")
        left.axvline(BEGIN, color=MUTED, linewidth=1)
        self.lines = {name: self.moving(left.plot([], [], color=SERVICES[name][1])[0]) for name in OWN}
        self.names = {name: self.moving(left.text(0, 0, name, color=SERVICES[name][1], va="center")) for name in OWN}
        right.set(xlim=(1, 1e6), ylim=(-0.8, 2.6), xscale="log", xlabel="records read", yticks=range(3))
        right.set_yticklabels(INSTRUMENTS[1:])
        right.set_title("The search")
        self.bars = [self.moving(bar) for bar in right.barh(range(3), [1] * 3, color=BLUE, left=1, height=0.5)]
        self.found = self.moving(right.text(1.3, -0.55, "", color=FAILURE_INK, weight="bold", va="center"))

    def update(self, size, instrument, orders):
        day = Day(self.seed + 1000 * self.hidden, size, orders)
        label_at = 0.0
        for name in sorted(OWN, key=lambda name: day.wall[name][-1]):
            self.lines[name].set_data(np.arange(MINUTES) + 0.5, day.wall[name])
            label_at = max(label_at + 24, min(320, day.wall[name][-1]))
            self.names[name].set_position((MINUTES + 0.2, label_at))
        told = {} if instrument == WALL else {instrument: day.search(instrument)}
        for bar, name in zip(self.bars, INSTRUMENTS[1:]):
            bar.set(width=told[name][1] if name in told else 0, color=VERMILION if name == instrument else BLUE)
        worst = max(OWN, key=lambda name: day.wall[name][-1])
        wall = f"{orders} orders, {size} is ill. On the wall {worst} looks worst, at {day.wall[worst][-1]:.0f} ms. "
        if not told:
            self.found.set_text("")
            return wall + "No instrument has been asked yet."
        culprit, read = told[instrument]
        self.found.set_text(f"it is {culprit}")
        return wall + f"The {instrument} name {culprit}, after {read} records."


class Day:
    """Twenty minutes of the shop; from the tenth on something is slow. ``wall`` is the mean time (ms) of each service
    in each minute."""

    def __init__(self, seed, size, orders):
        rng = np.random.default_rng(seed)
        ill_instance, ill_article = int(rng.integers(INSTANCES)), int(rng.integers(len(ARTICLES)))
        self.minute = np.sort(rng.integers(MINUTES, size=orders))
        self.article = rng.integers(len(ARTICLES), size=orders)
        self.instance = self.article % INSTANCES
        own = {name: rng.exponential(seconds, orders) for name, seconds in OWN.items()}
        late = self.minute >= BEGIN
        if size == "one instance":
            own["inventory"][late & (self.instance == ill_instance)] += SLOW
        elif size == "a whole service":
            own[rng.choice(("payment", "orders"))][late] += SLOW
        else:
            own["payment"][late & (self.article == ill_article)] += SLOW
        below = own["inventory"] + own["payment"]
        self.times = own | {"orders": own["orders"] + below, "gateway": own["gateway"] + own["orders"] + below}
        self.wall = {name: 1000 * self._means(times) for name, times in self.times.items()}

    def _means(self, times):
        counts = np.maximum(1, np.bincount(self.minute, minlength=MINUTES))
        return np.bincount(self.minute, times, minlength=MINUTES) / counts

    def search(self, instrument):
        """``(what it names, records read)``."""
        orders = len(self.minute)
        if instrument == "metrics":  # a series for each instance, of the time and of the calls, then and now
            series = {name: self._then_and_now(self.times[name]) for name in ("gateway", "orders", "payment")}
            for number in range(INSTANCES):
                those = self.instance == number
                series[f"inventory-{number}"] = self._then_and_now(self.times["inventory"], those)
            grew = {name: now - then for name, (then, now) in series.items()}
            ill = [name for name in grew if grew[name] >= max(grew.values()) / 2]
            return min(ill, key=lambda name: series[name][1]), 4 * len(series)
        worst = int(np.argmax(self.times["gateway"]))
        slow = [name for name in OWN if self.times[name][worst] > self.times["gateway"][worst] / 2]
        deepest = min(slow, key=lambda name: self.times[name][worst])
        name = f"inventory-{self.instance[worst]}" if deepest == "inventory" else deepest
        late = (self.minute >= BEGIN) & (self.times["gateway"] > SLOW)
        articles = set(self.article[late])
        if len(articles) == 1:
            name += f", for the {ARTICLES[articles.pop()]}"
        return name, 4 * orders if instrument == "logs" else orders + 4

    def _then_and_now(self, times, those=slice(None)):
        times, late = times[those], self.minute[those] >= BEGIN
        return (times[~late].mean(), times[late].mean()) if late.any() and not late.all() else (0.0, 0.0)
