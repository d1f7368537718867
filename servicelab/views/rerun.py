"""A cell that is run again lets go of what its earlier run made.

IPython keeps the value that each cell ends with (``Out``), and what it showed, for as long as the kernel lives; and
ipywidgets keep every progress bar. So the trace behind a diagram stays, and with it all its events, once for each time
that the cell was run: on a teaching day that was gigabytes. What the latest run of a cell made stays, as everywhere.
"""

import sys


def watch() -> None:
    """From now on, in a Jupyter kernel. Calling it twice is fine."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is not None and not hasattr(shell, "servicelab_runs"):
        shell.servicelab_runs = Runs(shell)


class Runs:
    """What the latest run of each cell made: its number, as in ``Out[7]``, and its progress bars.

    A cell is known by its id, or else (some clients send none) by its code.
    """

    def __init__(self, shell):
        self.shell = shell
        self.latest: dict[str, tuple[int, list]] = {}
        self.bars = []  # of the run that is under way
        shell.events.register("pre_run_cell", self.begins)
        shell.events.register("post_run_cell", self.ended)

    def begins(self, info) -> None:
        number, bars = self.latest.pop(cell_of(info), (None, ()))
        if "ipywidgets" in sys.modules:
            from servicelab.views.widget_or_text import close_widgets, widgets

            for bar in bars:
                close_widgets(bar)
            widgets.Widget.on_widget_constructed(self.made)
        self.bars = []
        history, name = self.shell.history_manager, f"_{number}"
        for kept in (self.shell.user_ns["_oh"], history.output_hist_reprs, getattr(history, "outputs", {})):
            kept.pop(number, None)
        for kept in (self.shell.user_ns, self.shell.user_ns_hidden):  # IPython's own flush forgets the second
            kept.pop(name, None)

    def ended(self, result) -> None:
        if result.info.store_history:
            self.latest[cell_of(result.info)] = result.execution_count, self.bars

    def made(self, widget) -> None:
        # Noted now: a bar that is not to stay closes its box, and leaves the rest.
        if type(widget).__name__ == "TqdmHBox":
            self.bars.append(widget)


def cell_of(info) -> str:
    return getattr(info, "cell_id", None) or info.raw_cell
