"""In a real JupyterLab: a panel is seen with its controls on a small projector, and grows with a large page."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser import Browser, Lab
from tests.conftest import require

PANELS = (
    "burst.Burst",
    "cockpit.Cockpit",
    "contract.ContractChange",
    "doors.Doors",
    "fleet.FleetPanel",
    "flood.Flood",
    "game_day.GameDay",
    "gateway.Door",
    "hunt.Hunt",
    "knee.Knee",
    "mesh.Mesh",
    "partition.Partition",
    "promises.Promises",
    "retention.Race",
    "storm.Storm",
    "subscribers.Subscribers",
)
SIZES = """n => {
    const panel = document.querySelectorAll('.jp-OutputArea')[n].querySelector('.servicelab');
    const page = document.querySelector('.jp-WindowedPanel-outer, .jp-Notebook');
    const labels = [...panel.querySelectorAll('.widget-label')];
    return {panel: panel.getBoundingClientRect().height, page: page.getBoundingClientRect().height,
            picture: panel.querySelector('.widget-html svg').getBoundingClientRect().height,
            cut: labels.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)}; }"""


@pytest.mark.timeout(300)
def test_a_panel_fits_a_projector_and_grows_with_the_page(tmp_path):
    require("chromium")
    (tmp_path / "notebooks").mkdir()
    parts = [panel.split(".") for panel in PANELS]
    code = [f"from servicelab.views.demos.{file} import {kind}\npanel = {kind}(seed=1)\npanel" for file, kind in parts]
    names = [*PANELS, "the game day in a round"]  # then it has levers and a note in place of cards
    cells = [new_code_cell(text) for text in (*code, "panel = GameDay(seed=1)\npanel.begin()\npanel.redraw()\npanel")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "notebooks" / "panels.ipynb")
    seen = {}
    with Lab(root=tmp_path) as lab:
        for size in ((1280, 720), (1920, 1080)):
            with Browser(lab, *size) as browser:
                notebook = browser.open("notebooks/panels.ipynb")
                notebook.run_all()
                assert notebook.errors() == []
                seen[size] = [notebook.page.evaluate(SIZES, n) for n in range(len(names))]
                notebook.close()
    for name, small, large in zip(names, *seen.values()):
        growth = 1.25 if "game" in name else 1.4  # the game day's picture is as wide as the page from the start
        assert small["panel"] <= small["page"] and large["panel"] <= large["page"], name
        assert large["picture"] > growth * small["picture"] > growth * 300, name
        assert small["cut"] == [], name
