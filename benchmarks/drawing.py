"""What a step of a slider costs in the kernel, and a space-time diagram.

``python -m benchmarks.drawing`` prints JSON. Both contestants simulate and draw the same: the demo panel of chapter 01
with 1 000 requests shown. One is the panel itself; the other is ``interact`` with a new matplotlib figure for every
step, as most notebooks have it. They take turns in a real kernel, where ``interact`` captures its output, and the
medians are compared. A ratio below its limit passes.
"""

import json
import statistics
import time

LIMIT = 0.05
LOADS = range(30, 90, 3)  # what the slider is moved to


def slider_step(rounds: int = 2) -> dict:
    """Median ms of a slider step in both ways, and their ratio. Needs nbclient and ipykernel; takes about 10 s."""
    import nbformat
    from nbclient import NotebookClient

    code = f"%matplotlib inline\nfrom benchmarks.drawing import _in_the_kernel\n_in_the_kernel({rounds})"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=300).execute()
    said = "".join(
        out.text for out in notebook.cells[0].outputs if out.output_type == "stream" and out.name == "stdout"
    )
    times = json.loads(said[said.index("{") :])
    ours, theirs = times["live panel"], times["interact with a new figure"]
    rounded = {f"{name} (ms/step)": round(value, 2) for name, value in times.items()}
    ratio = ours / theirs
    return {**rounded, "ratio": round(ratio, 3), "limit": LIMIT, "passed": ratio <= LIMIT}


def _in_the_kernel(rounds):
    """Move both sliders in turn, and print the median times in ms as JSON."""
    import ipywidgets
    import matplotlib.pyplot as plt
    from IPython.display import display

    from servicelab.views import live, theme
    from servicelab.views.demos.knee import Knee

    panel = Knee()
    picture = Knee.__new__(Knee)  # its drawing, without the panel around it
    picture.seed = panel.seed
    picture.moving = lambda artist: artist
    picture.restart()

    def fresh(load):
        with plt.rc_context(theme.RC | live.FONTS):
            fig = plt.figure(figsize=(panel.size[0] / 100, panel.size[1] / 100), layout="constrained")
            picture.draw(fig)
            picture.update(**panel.values | {"load": load})
            plt.show()

    rival = ipywidgets.interactive(fresh, load=ipywidgets.IntSlider(50, 5, 98))
    display(panel, rival)
    sliders = {"live panel": panel.fields["load"], "interact with a new figure": rival.children[0]}
    times = {name: [] for name in sliders}
    for turn in range(rounds):
        for load in LOADS:
            for name, slider in sliders.items():
                start = time.perf_counter()
                slider.value = load + turn
                times[name].append((time.perf_counter() - start) * 1e3)
    panel.close()
    print(json.dumps({name: statistics.median(spent) for name, spent in times.items()}))


def diagram(messages: int = 30, rounds: int = 30) -> dict:
    """Median ms to draw the space-time diagram of a chain of calls with so many messages."""
    from servicelab.trace import Trace, reply_id
    from servicelab.views.spacetime import spacetime

    trace = Trace()
    for i in range(messages // 2):
        callee = ("orders", "inventory", "payment")[i % 3]
        start = 0.012 * i
        id = trace.start_call("client", callee, f"GET /things/{i}", at=start)
        trace.send("client", callee, f"GET /things/{i}", id=id, at=start)
        trace.receive(id, callee, at=start + 0.002)
        trace.start_work(callee, id=id, at=start + 0.002)
        trace.end_work(id, at=start + 0.008)
        trace.send(callee, "client", "200", id=reply_id(id), kind="reply", at=start + 0.008)
        trace.receive(reply_id(id), "client", at=start + 0.01)
        trace.end_call(id, "ok", at=start + 0.01)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        drawn = spacetime(trace)
        times.append((time.perf_counter() - start) * 1e3)
    return {"messages": messages, "ms": round(statistics.median(times), 2), "size (kB)": round(len(drawn.svg) / 1e3, 1)}


def run() -> dict:
    """All of them, as one dict; the keys say what is compared."""
    return {"slider step, panel against interact": slider_step(), "space-time diagram": diagram()}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2, ensure_ascii=False))
