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
            picture: panel.querySelector('img').getBoundingClientRect().height,
            cut: labels.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)}; }"""


@pytest.mark.timeout(300)
def test_a_panel_fits_a_projector_and_grows_with_the_page(tmp_path):
    require("chromium")
    (tmp_path / "notebooks").mkdir()
    parts = [panel.split(".") for panel in PANELS]
    cells = [new_code_cell(f"from servicelab.views.demos.{file} import {kind}\n{kind}(seed=1)") for file, kind in parts]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "notebooks" / "panels.ipynb")
    seen = {}
    with Lab(root=tmp_path) as lab:
        for size in ((1280, 720), (1920, 1080)):
            with Browser(lab, *size) as browser:
                notebook = browser.open("notebooks/panels.ipynb")
                notebook.run_all()
                seen[size] = [notebook.page.evaluate(SIZES, n) for n in range(len(PANELS))]
                notebook.close()
    for name, small, large in zip(PANELS, *seen.values()):
        assert small["panel"] <= small["page"] and large["panel"] <= large["page"], name
        assert large["picture"] > 1.4 * small["picture"] > 1.4 * 300, name
        assert small["cut"] == [], name
