"""Parameter sweeps: the same experiment at every point of a grid, several times, on several cores.

::

    def experiment(load, workers, seed):
        ...
        return {"wait": waits.mean(), "rejected": share}

    result = sweep(experiment, {"load": [0.5, 0.8, 0.9], "workers": [1, 2]}, replications=5, seed=1)
    result.mean("wait")       # an array of 3 × 2
    result.error("wait")      # its standard error over the replications

Rules:

1. The result depends on the function, the grid, the replications and the seed, and on nothing else: not on the
   number of processes, nor on the backend, nor on which of them was first. So no task may share random numbers with
   another; each gets a seed of its own, made from (seed, point, replication).
2. joblib does the work. ``jobs=-1`` takes all cores, and whatever ``joblib.parallel_config`` says holds here as
   well: ``with joblib.parallel_config(backend="dask"):`` takes the same cell to a cluster.
3. Functions from a notebook will do (joblib sends them with cloudpickle); they must not draw on global state.
"""

import hashlib
import inspect
import itertools
import traceback
from collections.abc import Mapping
from contextlib import contextmanager
from numbers import Real

import cloudpickle
import joblib
import numpy as np
from joblib._parallel_backends import LokyBackend  # the only way to ask which one it is
from joblib.externals.loky import get_reusable_executor
from tqdm.auto import tqdm

from servicelab.arguments import whole
from servicelab.table import Table


class Sweep:
    """What a sweep found.

    ``axes`` maps each parameter to its values, in the order of the grid. ``values`` maps each quantity to an
    array with one dimension for each parameter and a last one for the replications. A function that returns a
    plain number has one quantity, "value".
    """

    def __init__(self, axes: dict[str, list], values: dict[str, np.ndarray]):
        self.axes = axes
        self.values = values

    def mean(self, quantity=None) -> np.ndarray:
        """Mean over the replications, one entry for each point. ``quantity`` may be left out if there is one only."""
        return self._of(quantity).mean(axis=-1)

    def error(self, quantity=None) -> np.ndarray:
        """Standard error of that mean, from the spread of the replications; ``nan`` if there was one only."""
        values = self._of(quantity)
        n = values.shape[-1]
        return values.std(axis=-1, ddof=1) / np.sqrt(n) if n > 1 else np.full(values.shape[:-1], np.nan)

    def table(self) -> Table:
        """A row for each point: the parameters, and mean and standard error of each quantity."""
        headings = [*self.axes, *(text for name in self.values for text in (name, f"± {name}"))]
        columns = [column.ravel().tolist() for name in self.values for column in (self.mean(name), self.error(name))]
        points = itertools.product(*self.axes.values())
        return Table(headings, [[*point, *row] for point, row in zip(points, zip(*columns))])

    def _of(self, quantity):
        if quantity is None and len(self.values) == 1:
            (quantity,) = self.values
        if quantity not in self.values:
            raise ValueError(f"quantity={quantity!r} must be one of {', '.join(map(repr, self.values))}")
        return self.values[quantity]

    def __str__(self):
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self):
        return self.table()._repr_html_()


def sweep(function, grid, *, replications=1, seed=1, jobs=None, progress=False, common=False) -> Sweep:
    """Call ``function(**point, seed=...)`` at every point of ``grid``, ``replications`` times each.

    ``grid`` maps the name of each parameter to its values. The function returns a number, or a dict of numbers with
    the same keys at every point. ``jobs`` is how many run at once: None for what ``joblib.parallel_config`` says and
    otherwise one, -1 for as many as there are cores. ``progress`` shows a bar (tqdm).

    ``common=True`` gives all points the same random numbers, different ones in each replication: the difference
    between two points then varies far less (common random numbers, see :mod:`servicelab.sim.draws`), but their
    errors are no longer independent. By default each point has its own.

    Raises TypeError for a function that does not take these parameters and ``seed``, or does not return numbers,
    and ValueError for an empty grid, less than one replication, and for quantities that differ between points. An
    error in the function is passed on with notes that say at which point, and from another process where in the code;
    one that cannot be pickled comes as a RuntimeError with its name and text. However it ends, joblib's own processes
    (its default backend, loky) are ended too; those of a cluster are yours to end.
    """
    axes = _axes(grid)
    whole("replications", replications)
    seed = whole("seed", seed, least=None)
    if jobs is not None and whole("jobs", jobs, "such as 2, or -1 for all cores, or None", least=None) == 0:
        raise ValueError("jobs=0 must be another number: 2 is two at once, -1 as many as there are cores")
    _require_parameters(function, axes)
    shape = [len(values) for values in axes.values()]

    def tasks():
        for index in np.ndindex(*shape):
            point = {name: values[i] for (name, values), i in zip(axes.items(), index)}
            for replication in range(replications):
                own = seed_of(seed, None if common else index, replication)
                yield joblib.delayed(_run)(function, point, own)

    total = int(np.prod(shape)) * replications
    with _nothing_left(jobs), tqdm(total=total, unit="run", disable=not progress) as bar:
        results = []
        for result in joblib.Parallel(n_jobs=jobs, return_as="generator")(tasks()):
            if isinstance(result, _Failure):
                raise result.error
            results.append(result)
            bar.update()

    names = list(results[0])
    for result in results:
        if list(result) != names:
            raise ValueError(
                f"the function returned {list(result)} at one point and {names} at another: "
                "return the same quantities, in the same order, at every point"
            )
    return Sweep(
        axes, {name: np.array([result[name] for result in results]).reshape(*shape, replications) for name in names}
    )


def seed_of(seed, point, replication) -> int:
    """The seed of one task: a hash, so that neighbouring seeds, points and replications have nothing in common.

    ``point`` is its place in the grid, a tuple of positions: (0, 2) is the first value of the first parameter with
    the third of the second.
    """
    text = f"{int(seed)} {None if point is None else tuple(map(int, point))} {int(replication)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


@contextmanager
def _nothing_left(jobs):
    """End the processes that joblib's backend loky would keep for the next time, and that would hold memory."""
    backend, _ = joblib.parallel.get_active_backend()
    mine = isinstance(backend, LokyBackend) and joblib.effective_n_jobs(jobs) > 1
    well = False
    try:
        yield
        well = True
    finally:
        if mine:
            get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=not well)


class _Failure:
    """An exception of the function, on its way from another process. It is a result, and not raised there, because
    joblib gives up the whole pool over one that cannot be pickled, or whose constructor wants more than its text."""

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        notes = [*getattr(self.error, "__notes__", ()), "".join(traceback.format_exception(self.error)).rstrip()]
        try:
            pickled = cloudpickle.dumps(self.error)
            cloudpickle.loads(pickled)
        except Exception:
            pickled = None
        return _arrived, (pickled, f"{type(self.error).__name__}: {self.error}", notes)


def _arrived(pickled, text, notes):
    error = RuntimeError(text) if pickled is None else cloudpickle.loads(pickled)
    error.__notes__ = notes
    return _Failure(error)


def _run(function, point, seed):
    """One task; runs in another process."""
    try:
        return _checked(function(**point, seed=seed))
    except Exception as error:
        error.add_note(f"at {', '.join(f'{name}={value!r}' for name, value in point.items())}, seed={seed}")
        return _Failure(error)


def _checked(result):
    if not isinstance(result, Mapping):
        result = {"value": result}
    if not result:
        raise TypeError("the function returned {}: it must return a number or a dict of numbers, such as {'wait': 0.2}")
    for name, value in result.items():
        if not isinstance(value, (Real, np.bool_)):
            raise TypeError(
                f"the function returned {value!r} for {name!r}: it must return a number or a dict of "
                "numbers, such as {'wait': 0.2}"
            )
    return {name: float(value) for name, value in result.items()}


def _axes(grid):
    if not isinstance(grid, Mapping) or not grid:
        raise ValueError(f"grid={grid!r} must map parameters to their values: {{'load': [0.5, 0.8]}}")
    axes = {}
    for name, values in grid.items():
        if isinstance(values, str) or not hasattr(values, "__iter__"):
            raise ValueError(f"grid: {name}={values!r} must be a list of values: {{{name!r}: [{values!r}]}}")
        # Plain Python numbers print well, and a function cannot tell where they came from.
        axes[name] = values.tolist() if isinstance(values, np.ndarray) else list(values)
        if not axes[name]:
            raise ValueError(f"grid: {name}=[] has no values: a grid without points has no result")
    if "seed" in axes:
        raise ValueError("grid: seed must not be in it: each task gets its own; give sweep(..., seed=1)")
    return axes


def _require_parameters(function, axes):
    if not callable(function):
        raise TypeError(f"function={function!r} must be a function, such as def experiment(load, seed): ...")
    try:
        inspect.signature(function).bind(**dict.fromkeys([*axes, "seed"]))
    except TypeError as error:
        raise TypeError(f"function={function!r} must take {', '.join(axes)} and seed: {error}") from None
