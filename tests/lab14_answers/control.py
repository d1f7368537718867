"""Exercise 4: control planes in three ways, and mistakes."""

from copy import deepcopy

from tests.lab11_answers import but


def answer(wanted, has, refused):
    """Three steps: the first that changes something."""
    if named(wanted["routes"]) - set(wanted["clusters"]):
        return None
    both = {**has["clusters"], **wanted["clusters"]}
    steps = [("clusters", both), ("routes", wanted["routes"]), ("clusters", wanted["clusters"])]
    for kind, content in steps:
        if has[kind] != content:
            return None if (kind, content) in refused else (kind, content)
    return None


def named(routes):
    return {cluster for weights in routes.values() for cluster in weights}


def by_cases(wanted, has, refused):
    """What is missing, what is old, what is too much."""
    new, old = wanted["clusters"], has["clusters"]
    used = {name for routes in has["routes"].values() for name in routes}
    for weights in wanted["routes"].values():
        if not all(name in new for name in weights):
            return None
    push = None
    if any(old.get(name) != addresses for name, addresses in new.items()):
        push = "clusters", dict(list(old.items()) + list(new.items()))
    elif has["routes"] != wanted["routes"]:
        push = "routes", wanted["routes"]
    elif set(old) - set(new) - used:
        push = "clusters", {name: old[name] for name in old if name in new or name in used}
    return push if push not in refused else None


class Planned:
    """All pushes that there might be, and the rules as filters. It keeps its own copies."""

    def __call__(self, wanted, has, refused):
        wanted, has = deepcopy(wanted), deepcopy(has)
        kept = {name: found for name, found in has["clusters"].items() if name not in wanted["clusters"]}
        pushes = [
            ("clusters", kept | wanted["clusters"]),
            ("routes", wanted["routes"]),
            ("clusters", wanted["clusters"]),
        ]
        for push in filter(lambda push: has[push[0]] != push[1], pushes):
            after = {**has, push[0]: push[1]}
            if named(wanted["routes"]) <= set(wanted["clusters"]) and named(after["routes"]) <= set(after["clusters"]):
                return None if push in refused else push
        return None


RIGHT = {"three steps": answer, "by cases": by_cases, "filters": Planned()}
BOTH, MISTAKE = '("clusters", both), ', 'if named(wanted["routes"]) - set(wanted["clusters"]):'
PUSH = "return None if (kind, content) in refused else"
LEFT = "{k: v for k, v in has['clusters'].items() if k in wanted['clusters'] or k in named(has['routes'])}"
SAFE = "named({**has, kind: content}['routes']) <= set({**has, kind: content}['clusters'])"
EARLY = """    used = {one for weights in wanted["routes"].values() for one in weights if weights[one]}
    if has["routes"] != wanted["routes"] and used <= set(has["clusters"]):
        return None if ("routes", wanted["routes"]) in refused else ("routes", wanted["routes"])
"""
WRONG = {
    "says it in a dict": ([f"{PUSH} (kind, content) => {PUSH} {{kind: content}}"], "wrong-type"),
    "a list": ([f"{PUSH} (kind, content) => {PUSH} [kind, content]"], "wrong-type"),
    "routes first": ([BOTH + " => "], "no-cluster"),
    "weight 0 may come early": (["    steps = => " + EARLY + "    steps ="], "no-cluster"),
    "swaps the clusters": (['{**has["clusters"], **wanted["clusters"]} => wanted["clusters"]'], "still-used"),
    "refused routes are done": (["has[kind] != content: => has[kind] != content and (kind, content) not in "
                                 "[push for push in refused if push[0] == 'routes']:"], "still-used"),
    "sends what it was told": ([MISTAKE + " => if False:"], "mistake"),
    "looks at what it has": (['- set(wanted["clusters"]): => - {*has["clusters"], *wanted["clusters"]}:'], "mistake"),
    "weight 0 is no route": (["if named(wanted[\"routes\"]) => if {one for weights in wanted['routes'].values() "
                              "for one in weights if weights[one]}"], "mistake"),
    "only the routes wait": ([f"{MISTAKE}\n        return None => {MISTAKE}\n"
                              "        wanted = {**wanted, 'routes': has['routes']}",
                              f'("clusters", wanted["clusters"])] => ("clusters", {LEFT})]'], "mistake"),
    "again and again": ([f"{PUSH} (kind, content) => return (kind, content)"], "refused-again"),
    "looks at the last refusal": (["in refused else => in refused[-1:] else"], "refused-again"),
    "something else instead": (
        [f"!= content: => != content and (kind, content) not in refused and {SAFE}:"], "refused-again"),
    "always the clusters": (["(kind, content)\n    return None => (kind, content)\n    return steps[-1]"], "chatter"),
    "writes to what it has": (['both = {**has["clusters"], **wanted["clusters"]} => both = has["clusters"]; '
                               'both.update(wanted["clusters"])'], "touched"),
    "who has refused gets nothing": ([f"{PUSH} => return None if refused else"], "not-done"),
    "only who has something": (["    both = =>     if not has['routes']: return None\n    both ="], "not-done"),
    "known names": (['{**has["clusters"], **wanted["clusters"]} => {**wanted["clusters"], **has["clusters"]}',
                     '("clusters", wanted["clusters"])] => ("clusters", {k: both[k] for k in wanted["clusters"]})]'],
                    "addresses"),
    "removes nothing": ([', ("clusters", wanted["clusters"])] => ]'], "left-over"),
    "addresses are a step of their own": (
        ["steps = [ => steps = [('clusters', {**wanted['clusters'], **both, **has['clusters']})] * "
         "(has['routes'] != wanted['routes']) + ["], "left-over"),
    "a spare one stays": (['("clusters", wanted["clusters"])] => ("clusters", wanted["clusters"])] '
                           '[: 3 if len(both) - len(wanted["clusters"]) > 1 else 2]'], "left-over"),
}  # fmt: skip
WRONG = {name: (but(answer, *changes), {code}) for name, (changes, code) in WRONG.items()}
