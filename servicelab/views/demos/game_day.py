"""The game day (chapter 15): the whole shop on real servers, and in each round a fault that nobody names."""

from servicelab.gameday.cards import CARDS, POINTS, buy, points
from servicelab.gameday.code import encode
from servicelab.gameday.incidents import INCIDENTS, LEVERS, ROUNDS, plan
from servicelab.gameday.ledger import signals
from servicelab.gameday.player import Note, bonus, cost
from servicelab.gameday.shop import Round
from servicelab.views.controls import button
from servicelab.views.live import LivePanel
from servicelab.views.theme import BLUE, INK, MUTED, VERMILION
from servicelab.views.widget_or_text import widgets

PLACES = ("gateway", "orders", "inventory", "payment", "registry")


class GameDay(LivePanel):
    """Cards to buy, then four rounds of ``orders`` orders at ``rate`` a second; levers and a note while they run.

    *Start* begins a round, which goes on by itself: *Pause* stops the picture only. *Reset* ends the game. A round
    that was ended, or on a machine that stood still, is not scored, and *Start* plays it again. In the end the code is
    shown. From code: :meth:`buy`, :meth:`begin`, :meth:`pull`, :meth:`file`; they raise ValueError when it is not
    their time.
    """

    title = "Game day"
    question = "Something breaks in each round. What, where, and which lever is the right one?"
    size = (1150, 320)
    period, limit = 0.25, 600.0
    rows = ()

    def __init__(self, seed: int = 1, orders: int = 1200, rate: float = 20.0):
        self.orders, self.rate, self.rounds = orders, rate, []
        super().__init__(seed)

    def restart(self):
        self._end()
        self.rounds, self.cards, self.course, self.told = [], frozenset(), [], ""
        for box in self.rows and self.rows[0].children:
            box.value = False
        self._show_rows()

    def close(self):
        self._end()
        super().close()

    def _end(self):
        for shop, _ in self.rounds:
            shop.stop()

    @property
    def is_open(self) -> bool:
        """Is a round under way?"""
        return bool(self.rounds) and self.rounds[-1][0].is_running

    def buy(self, *cards):
        if self.rounds:
            raise ValueError("the cards are dealt: Reset begins a new game")
        self.cards = buy(*cards)
        self.redraw()

    def begin(self):
        if self.is_open:
            raise ValueError(f"round {len(self.rounds)} is under way: wait for its end")
        again = bool(self.rounds) and not self.rounds[-1][0].is_scored
        if len(self.rounds) - again == ROUNDS:
            raise ValueError("all four rounds are played: Reset begins a new game")
        shop = Round(plan(self.seed, len(self.rounds) + 1 - again, self.orders, self.rate), self.cards)
        self.rounds[len(self.rounds) - again :] = [[shop.start(), None]]
        self.course, self.told = [], ""
        self._show_rows()

    def start(self):
        try:
            if not self.is_open:
                self.begin()
        except Exception as error:
            return self._fail(error)
        super().start()

    def tick(self):
        if not self.is_open:
            self.pause()

    def pull(self, lever):
        if not self.is_open:
            raise ValueError(f"no round is under way, {lever!r} does nothing: Start begins one")
        self.told = self.rounds[-1][0].fate.pull(lever)

    def file(self, what, where, since=0, evidence=""):
        """The note of this round: while it runs, or before the next one begins. The first one counts."""
        if not self.rounds or self.rounds[-1][1]:
            raise ValueError("a round has one note: this one has its own, or none has begun")
        self.rounds[-1][1] = note = Note(what, where, max(0, self.rounds[-1][0].fate.sent), since, evidence)
        self.told = f"Noted at order {note.at}: {where}, {INCIDENTS[what].cause}."

    @property
    def money(self) -> int:
        """So far, cards included; what a note is worth shows when its round is over."""
        notes = sum(bonus(shop.plan, note) for shop, note in self.rounds if not shop.is_running)
        return sum(shop.ledger.money for shop, _ in self.rounds) + notes - cost(self.cards, self.orders)

    @property
    def code(self) -> str | None:
        """The twelve characters, when four rounds are over and scored."""
        over = len(self.rounds) == ROUNDS and not self.is_open and all(shop.is_scored for shop, _ in self.rounds)
        return encode(self.seed, self.money, self.cards) if over else None

    # -- what is seen -----------------------------------------------------------------------

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(1, 1.3))
        left.set(xlim=(0, self.orders), ylim=(-5 * self.orders, 10 * self.orders), xlabel="order", ylabel="money")
        left.axhline(0, color=MUTED, linewidth=1)
        left.plot([0, self.orders], [0, 10 * self.orders], ":", color=MUTED)
        left.set_title("This round (dotted: all is well; ▲: a lever)")
        self.curve = self.moving(left.plot([], [], color=BLUE, linewidth=2.5)[0])
        self.pulled = self.moving(left.plot([], [], "^", color=VERMILION, markersize=10)[0])
        right.set_axis_off()
        self.board = self.moving(right.text(0, 1.05, "", va="top", color=INK, transform=right.transAxes))

    def update(self):
        shop, note = self.rounds[-1] if self.rounds else (None, None)
        if shop:
            self.course.append((shop.fate.sent + 1, shop.ledger.money))
        self.curve.set_data(*zip(*self.course or [(0, 0)]))
        pulled = [at for at, _ in shop.fate.log] if shop else []
        self.pulled.set_data(pulled, [0] * len(pulled))
        does = {f"{'✓ ' * (name in self.cards)}{name} ({cost})": does for name, (cost, does) in CARDS.items()}
        shown = signals(shop.ledger, shop.fate) if shop else does
        self.board.set_text("\n".join(f"{card}: {text}" if card else text for card, text in shown.items()))
        if not shop:
            return f"{points(self.cards)} of {POINTS} points spent. Start begins a round of {self.orders} orders."
        left = (self.orders - shop.fate.sent - 1) / self.rate
        where = f": order {shop.fate.sent + 1} of {self.orders}, {left:.0f} s left" if self.is_open else " is over"
        said = f"Round {len(self.rounds)} of {ROUNDS}{where}. Money in all {self.money}. {self.told}"
        if self.is_open:
            return f"{said} On: {', '.join(sorted(shop.fate.on))}." if shop.fate.on else said
        if not shop.is_scored:
            return f"{said} Not scored: it was ended, or the machine stood still. Start plays it again."
        if self.code:
            return f"{said} {'' if note else 'The note is still to be filed. '}Your code: {self.code}"
        return f"{said} {'' if note else 'File the note. '}Start begins the next."

    def _build(self):
        panel = super()._build()
        layout = {"flex_flow": "row wrap", "width": "100%", "align_items": "flex-end"}
        cards = [
            widgets.Checkbox(description=f"{name} ({cost})", tooltip=does, indent=False, layout={"width": "165px"})
            for name, (cost, does) in CARDS.items()
        ]
        for box in cards:
            box.observe(lambda _: self.rounds or self._pressed(self._buy_ticked), "value")
        levers = [button(lever, f"Pull the lever: {lever}") for lever in LEVERS]
        for one in levers:
            one.on_click(lambda pressed: self._pressed(lambda: self.pull(pressed.description)))
        causes = sorted((incident.cause, key) for key, incident in INCIDENTS.items())
        note = [
            widgets.Dropdown(description="what", options=causes, layout={"width": "400px"}),
            widgets.Dropdown(description="where", options=PLACES, layout={"width": "180px"}),
            widgets.IntText(
                description="since order", layout={"width": "180px"}, style={"description_width": "initial"}
            ),
            widgets.Dropdown(description="seen in", options=("pages", "money", *CARDS), layout={"width": "180px"}),
        ]
        file = button("File the note", "File the incident note")
        file.on_click(lambda _: self._pressed(lambda: self.file(*[field.value for field in note])))
        self.rows = [widgets.Box(row, layout=layout) for row in (cards, levers, [*note, file])]
        self.image.layout.max_height = "calc(100vh - 405px)"  # there are more rows than other panels have
        self.image.layout.min_height = "200px"
        panel.children = (*panel.children[:2], *self.rows, *panel.children[2:])
        self._show_rows()
        return panel

    def _buy_ticked(self):
        self.buy(*[name for name, box in zip(CARDS, self.rows[0].children) if box.value])

    def _show_rows(self):
        """First what may be bought, then levers and note."""
        for row, seen in zip(self.rows, (not self.rounds, self.rounds, self.rounds)):
            row.layout.display = "flex" if seen else "none"
