"""A teaching day in one kernel: what a cell made goes when the cell is run again; what its latest run made stays."""

import os

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.notebooks import client_for
from tests.sharing import ROOT

SETUP = """
import gc
from ipywidgets.widgets.widget import _instances
from tqdm.auto import tqdm
from servicelab.checks.report import Report
from servicelab.trace import Trace
from servicelab.views.predict import Predict
from servicelab.views.spacetime import spacetime
"""
DIAGRAM = """
trace = Trace()
trace.receive(trace.send("client", "orders", "GET /orders"), "orders")
spacetime(trace)
"""
REPORT = 'Report("01", 1, trace=Trace())'
BARS = """
for leave in (True, False):
    for _ in tqdm(range(3), leave=leave):
        pass
"""
ASKED = 'Predict("day", "How long will it take?")'
LATER = ["None", "1", "2", "3"]  # Python's _, __ and ___ keep the three latest values
COUNT = """
gc.collect()
shell = get_ipython()
traces = sum(type(one) is Trace for one in gc.get_objects())
kept = shell.history_manager
print(traces, len(_instances), len(Out), len(kept.outputs), len(kept.output_hist_reprs), Out[max(Out)])
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> list[str]:
    """What the last cell counted in each of four passes over one notebook."""
    kernel = {"name": "python3", "display_name": "Python 3"}
    sources = [SETUP, DIAGRAM, REPORT, BARS, ASKED, *LATER, COUNT]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources], metadata={"kernelspec": kernel})
    client = client_for(notebook, tmp_path_factory.mktemp("day"), timeout=60)
    found = []
    with client.setup_kernel(env=os.environ | {"PYTHONPATH": str(ROOT)}):
        for _ in range(4):
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
            found.append("".join(out.text for out in notebook.cells[-1].outputs))
    return found


def test_no_pass_adds_a_trace_a_widget_or_an_output(said):
    assert said[2:] == said[1:2] * 2


def test_what_the_latest_run_made_stays(said):
    traces, widgets, values, *_, last = said[0].split()
    assert (traces, values, last) == ("3", "6", "3") and int(widgets) > 10
