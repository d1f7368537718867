"""Puts the course's settings into the environment whose Python runs this file: .venv, a conda environment, Binder's.

JupyterLab asks nothing about news. A kernel says nothing about its socket on loopback having no encryption (ipykernel 7
does each time that it starts, and nbgrader passes that on); its errors are still told.
"""

import json
import shutil
import sys
from pathlib import Path

KERNEL = {"IPKernelApp": {"log_level": "ERROR"}}


def put(prefix=sys.prefix):
    """Write them below ``prefix``. Raises OSError where that may not be written."""
    lab = Path(prefix, "share", "jupyter", "lab", "settings", "overrides.json")
    kernel = Path(prefix, "etc", "ipython", "ipython_kernel_config.json")
    for path in (lab, kernel):
        path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("overrides.json"), lab)
    kernel.write_text(json.dumps(KERNEL), encoding="utf-8")


if __name__ == "__main__":
    put()
