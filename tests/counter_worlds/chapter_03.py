"""The counter-worlds of chapter 03."""

from tests.counter_worlds import Change

COUNTER = {
    # The same burst, quarter of a second and all, for people who would wait for ten.
    "C02": Change("q-direct-burst", "PATIENCE = 0.25", "PATIENCE = 10.0", "holds if all switches meet a kill"),
    # A worker that answers the first question first.
    "C05": Change(
        "q-rpc-two", "in reversed(held)", "in held", "holds if each has its own queue and looks at the id; if"
    ),
    # A handler that leaves the work to a thread, and then answers.
    "C06": Change(
        "q-fast-server",
        "    make_label(number := next(numbers))\n    return jsonify(stored=number), 201",
        "    threading.Thread(target=make_label, args=[number := next(numbers)]).start()\n"
        "    return jsonify(stored=number), 201",
        "holds",
    ),
    # A broker that is slow to tell.
    "C08": Change(
        "q-table-run",
        "        delays.append(clock() - float(body))",
        "        time.sleep(0.02)\n        delays.append(clock() - float(body))",
        "holds",
    ),
    # The consumer that crashes acknowledges by hand.
    "C12": Change(
        "q-direct-claim", "consumer_crash(False, True, True)", "consumer_crash(True, True, True)", "holds if nothing"
    ),
    # A consumer that asks somebody else by HTTP.
    "C22": Change("q-rpc-worker", "answer = pika", "requests.get(inventory_url); answer = pika", "holds"),
    "C24": [
        # A broker without a disk.
        Change("q-durable-run", 'lane="broker", durable=True', 'lane="broker"', "fails"),
        # A kill that comes a second later.
        Change(
            "q-kill-run",
            "min(left_after(mortal.kill",
            "min(left_after(later",
            "holds if it lies in a durable queue and the broker ends in order; if it lies in a durable queue",
        ),
    ],
    # Nobody is ever sent more than one at a time.
    "C25": Change("q-prefetch-measure", "PREFETCH = [1, 3, 10, 30, 100]", "PREFETCH = [1, 1, 1, 1, 1]", "holds"),
    # Nobody dies between the two steps.
    "C35": Change(
        "q-points-kill", '"before both", "between the two", "after both"]', '"before both", "after both"]', "holds"
    ),
    # A worker for each label.
    "C36": Change("q-work-run", "def eight_labels(route, workers=1)", "def eight_labels(route, workers=8)", "holds"),
    # Two consumers where one was meant.
    "C38": Change(
        "q-order-table", '"one consumer": {}', '"one consumer": {"consumers": 2}', "holds if one consumer puts one back"
    ),
    # Both acknowledge by hand.
    "C39": Change("q-ack-compare", "auto_ack=True", "auto_ack=False", "holds"),
    # A consumer for each sender, and more.
    "C44": Change("q-more-sender", "consumers=2", "consumers=12", "fails"),
    "C45": [
        # An id may stand in the table twice.
        Change("q-dead-claim", " primary key", "", "holds if all switches are on, against loss; if bad"),
        # One of the switches is off: some are lost; whether the eighth was on the disk, and comes again, is luck.
        Change(
            "q-dead-claim",
            "kept=True, sure=True",
            "kept=True, sure=False",
            ("holds if all switches are on, against dup", "holds if the consumer is idempotent"),
        ),
    ],
    # The work is done before the 202.
    "C48": Change(
        "q-fast-server",
        "    my_channel(",
        "    make_label(0)\n    my_channel(",
        "holds if it asks right after the 202",
    ),
    # The day by call.
    "C49": Change("q-again-run", "a_day(by_queue, reading)", "a_day(by_call, both)", "fails"),
    # Nobody crashes.
    "C59": Change("q-example-run", "first.crash() if crash else None", "None", "holds if the consumer crashes"),
}

TURNS = {
    "q-again-turn": ("by_call(number)", 'my_channel().basic_publish("", MAILS, f"order {number}".encode())'),
    "q-work-turn": ("workers = 1", "workers = 4"),
    "q-idem-turn": (
        'table = "create table charges (id text)"  # change this\nstatement = "insert into',
        'table = "create table charges (id text primary key)"\nstatement = "insert or ignore into',
    ),
    "q-kill-turn": ('"persistent": False', '"persistent": True, "confirm": True'),
    "q-dead-turn": ("requeue=True", "requeue=False"),
    "q-burst-turn": ("consumers = 2", "consumers = 3"),
}
