"""The counter-worlds of chapter 11."""

from tests.counter_worlds import Change

COUNTER = {
    "C20": [
        # At night somebody compares the books with the parcels, and tells shipping what it has missed.
        Change(
            "c-wrong-run",
            'print("lost in each',
            """\
for run in at_forty:
    with closing(database(run.name)) as books, connect(broker, "night") as connection:
        for (number,) in books.execute("SELECT number FROM orders").fetchall():
            if f"{run.name} {number}" not in parcels:
                connection.channel().basic_publish("", PARCELS, f"{run.name} {number}".encode())
settled()
at_forty = [counted(run.name, run.end) for run in at_forty]
print("lost in each""",
            "fails",
        ),
        # Nobody starts the relay again.
        Change("c-outbox-run", "after = restarted(before)", "after = before", "holds"),
    ],
    "C31": [
        # Another key for each try.
        Change(
            "c-key-run",
            "    key = str(uuid4())\n    return call(retry, lambda timeout, number: post(order, key, timeout))",
            "    return call(retry, lambda timeout, number: post(order, str(uuid4()), timeout))",
            "holds if two come at once and the key is reserved before the work",
        ),
        # The simple memory serves one request after the other.
        Change(
            "c-key-look",
            "    if key not in answers:\n        answers[key] = work()\n",
            "    with answers.setdefault('lock', threading.Lock()):\n"
            "        if key not in answers:\n            answers[key] = work()\n",
            "holds",
        ),
    ],
    "C34": [
        # All three services in one database, and one transaction around the steps.
        Change("c-saga-tools", "def a_day(buy, shared=False,", "def a_day(buy, shared=True,", "holds"),
        # No step ever fails.
        Change(
            "c-saga-tools", "TROUBLE = {1:", "TROUBLE = {} and {1:", "holds if a step fails after others have committed"
        ),
    ],
}

TURNS = {
    "c-outbox-turn": (
        '        books.execute("DELETE FROM outbox WHERE number = ?", (number,))  # change the order of\n'
        '        publish(f"{name} {number}")  # these two lines\n',
        '        publish(f"{name} {number}")\n'
        '        books.execute("DELETE FROM outbox WHERE number = ?", (number,))\n',
    ),
    "c-key-turn": (
        "    def one_try(timeout, number):\n        key = str(uuid4())\n",
        "    key = str(uuid4())\n\n    def one_try(timeout, number):\n",
    ),
    "c-two-turn": ("retry_on=RETRYABLE)", 'retry_on=RETRYABLE | {"HTTP 409"})'),
    "c-mail-turn": ("key=str(uuid4()))", 'key=f"order {number}")'),
    "c-saga-turn": (
        "            shop.do(service, number)\n            back.append(service)\n",
        "            back.append(service)\n            shop.do(service, number)\n",
    ),
}
