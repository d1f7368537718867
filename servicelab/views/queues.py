"""A queue over time in the three worlds: how many messages it holds, and how long each of them waited."""

from typing import NamedTuple

import numpy as np

from servicelab import theory
from servicelab.sim.task import waits
from servicelab.views.theme import BAND, BLACK, FORMULA, INK, MEASURED, RC, SIMULATED

#: Dots that are drawn of a measured curve, at the most: more of them are a line.
DOTS = 70


class QueueRun(NamedTuple):
    """A queue as one world saw it; all times in seconds from the same zero.

    ``depth`` messages were in it from each ``time`` on. The message published ``at`` waited ``wait`` until somebody
    began to work on it. ``band`` is half the width of the band around ``depth``, or None.
    """

    time: np.ndarray
    depth: np.ndarray
    at: np.ndarray
    wait: np.ndarray
    band: np.ndarray | None = None


def simulated_run(queue, tasks) -> QueueRun:
    """What a :class:`servicelab.sim.Queue` and the ``tasks`` of its publisher went through."""
    depth = queue.depth
    return QueueRun(depth.time, depth.ready + depth.unacked, np.array([task.published for task in tasks]), waits(tasks))


def fluid_run(lam, mu, c, seconds, after=0.0, *, until=None, scv=1.0, gaps_scv=1.0) -> QueueRun:
    """The same from :func:`servicelab.theory.burst_backlog`, with its band; a message waits depth / (c μ) seconds.

    ``until`` is where the curve ends (seconds); by default a little after the queue is empty. Raises as
    ``theory.burst`` does.
    """
    burst = theory.burst(lam, mu, c, seconds, after)
    end = until if until is not None else 1.1 * max(burst.drained, seconds)
    time = np.union1d(np.linspace(0, end, 200), [seconds, burst.drained])
    time = time[time <= end]
    depth = theory.burst_backlog(time, lam, mu, c, seconds, after)
    band = theory.burst_band(time, lam, mu, c, seconds, after, scv=scv, gaps_scv=gaps_scv)
    published = time <= (end if after else seconds)  # without messages nobody waits
    return QueueRun(time, depth, time[published], depth[published] / (c * mu), band)


def queue_figure(title, *, measured=None, simulated=None, formula=None, end=None):
    """A figure with the depth of a queue above and the waits of its messages below, each world in its own style.

    ``measured``, ``simulated`` and ``formula`` are :class:`QueueRun`, any of them None. ``title`` is the finding,
    ``end`` when a burst was over (seconds), which gets a line. Returns the matplotlib figure, for ``show``.

    Raises ValueError when there is nothing to draw and TypeError for what is no QueueRun.
    """
    import matplotlib.pyplot as plt

    worlds = {"measured": measured, "simulated": simulated, "formula": formula}
    for name, run in worlds.items():
        if run is not None and not isinstance(run, QueueRun):
            raise TypeError(f"{name}={run!r} must be a QueueRun(time, depth, at, wait): see simulated_run, fluid_run")
    if not any(run is not None for run in worlds.values()):
        raise ValueError("queue_figure() needs at least one of measured, simulated and formula")
    plt.rcParams.update(RC)
    fig, (above, below) = plt.subplots(2, 1, figsize=(9.0, 5.0), sharex=True, layout="constrained")
    if formula is not None:
        if formula.band is not None:
            low, high = np.maximum(0, formula.depth - formula.band), formula.depth + formula.band
            above.fill_between(formula.time, low, high, color=BLACK, **BAND, label="19 of 20 runs")
        above.plot(formula.time, formula.depth, **FORMULA, label="formula")
        below.plot(formula.at, formula.wait, **FORMULA)
    if simulated is not None:
        above.step(simulated.time, simulated.depth, where="post", **SIMULATED, label="simulated")
        below.plot(*_in_order(simulated), **SIMULATED)
    if measured is not None:
        dots = np.linspace(0, len(measured.time) - 1, min(DOTS, len(measured.time))).round().astype(int)
        above.plot(np.asarray(measured.time)[dots], np.asarray(measured.depth)[dots], **MEASURED, label="measured")
        at, wait = _in_order(measured)
        dots = np.linspace(0, len(at) - 1, min(DOTS, len(at))).round().astype(int)
        below.plot(at[dots], wait[dots], **MEASURED)
    if end is not None:
        for ax in (above, below):
            ax.axvline(end, color=INK, linewidth=1, linestyle=":")
        above.annotate("burst over", (end, 0.97), (6, 0), ("data", "axes fraction"), "offset points", va="top")
    above.set(ylabel="messages in the queue", ylim=(0, None), xlim=(0, None), title=title)
    below.set(ylabel="wait of a message (s)", ylim=(0, None), xlabel="time (s); below: when it was published")
    above.legend(loc="upper right")
    return fig


def _in_order(run):
    order = np.argsort(run.at, kind="stable")
    return np.asarray(run.at)[order], np.asarray(run.wait)[order]
