"""Puts the course's settings into the environment whose Python runs this file: .venv, a conda environment, Binder's.

JupyterLab asks nothing about news. A kernel says nothing about its socket on loopback having no encryption (ipykernel 7
does each time that it starts, and nbgrader passes that on); its errors are still told. The Jupyter server sends what a
kernel says without delay (``servicelab.nodelay``).
"""

import json
import shutil
import sys
from pathlib import Path

KERNEL = {"IPKernelApp": {"log_level": "ERROR"}}
SERVER = {"ServerApp": {"jpserver_extensions": {"servicelab.nodelay": True}}}


def put(prefix=sys.prefix):
    """Write them below ``prefix``. Raises OSError where that may not be written."""
    lab = Path(prefix, "share", "jupyter", "lab", "settings", "overrides.json")
    kernel = Path(prefix, "etc", "ipython", "ipython_kernel_config.json")
    server = Path(prefix, "etc", "jupyter", "jupyter_server_config.d", "servicelab.json")
    for path in (lab, kernel, server):
        path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("overrides.json"), lab)
    kernel.write_text(json.dumps(KERNEL), encoding="utf-8")
    server.write_text(json.dumps(SERVER), encoding="utf-8")


if __name__ == "__main__":
    put()
