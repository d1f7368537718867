"""The counter-worlds of chapter 07."""

from tests.counter_worlds import Change

COUNTER = {
    "C37": [
        # A gateway that takes the order for the report, says so, and lets somebody else wait.
        Change(
            "g-wait-servers",
            'lambda: inside.get(slow_server.url + "/report").text)',
            "lambda: threading.Thread(target=inside.get, args=(slow_server.url + '/report',)).start() or ('', 202))",
            "holds",
        ),
        # Workers enough: others are served, and whoever calls for the report waits all the same.
        Change("g-wait-servers", "workers=2", "workers=8", "holds if the service is still at work: others served"),
    ],
    "C42": [
        # A resource that asks somebody, and is a gateway for plain pages at least.
        Change(
            "g-ten-hello",
            'lambda path: "Hello, World!"',
            'lambda path: requests.get(f"{server.url}/{path}").text',
            "holds",
        ),
        # It asks, and says hello all the same.
        Change(
            "g-ten-hello",
            'lambda path: "Hello, World!"',
            'lambda path: requests.get(f"{server.url}/{path}") and "Hello, World!"',
            "holds if a service behind it is asked",
        ),
    ],
    "C43": [
        # The door lets everybody in.
        Change(
            "g-who-door",
            "    if name is None:",
            "    if False:",
            "holds if three instances stand behind it; if somebody listens before the door",
        ),
        # TLS without encryption.
        Change(
            "g-who-tls",
            "ADH-AES256-GCM-SHA384:AECDH-AES256-SHA:@SECLEVEL=0",
            "AECDH-NULL-SHA:@SECLEVEL=0",
            "holds if three instances stand behind it; if somebody has no ticket.",
        ),
        # Three instances, of which the door knows one.
        Change(
            "g-who-balance",
            "for one in three]",
            "for one in three[:1]]",
            "holds if somebody has no ticket; if somebody listens before the door",
        ),
        # Nothing that could be read goes over the line behind the door.
        Change("g-who-tls", 'heard.count(b"7b1f")', 'heard.count(b"7b1f:")', "holds"),
    ],
    "C50": [
        # Every page is wanted as often as every other: little is found again.
        Change(
            "g-kept-catalogue",
            "theory.zipf(PRODUCTS)",
            "theory.zipf(PRODUCTS, 0)",
            "holds if one counter sees all calls; if one fetches for all",
        ),
        # Everybody fetches for himself.
        Change(
            "g-old-real",
            'copies.get("/", lambda: client.get(behind.url).text)',
            "client.get(behind.url).text",
            "holds if one counter sees all calls; if the same pages are wanted again.",
        ),
        # The three ask the first one's bucket.
        Change(
            "g-much-flood", "[TokenBucket(5, burst=10) for _ in range(3)]", "[TokenBucket(5, burst=10)] * 3", "holds"
        ),
        # The law forgets.
        Change(
            "g-much-door",
            "if not law.admit(time.monotonic()):",
            "if False:",
            "holds if the same pages are wanted again",
        ),
    ],
}

TURNS = {
    "g-ten-turn": ('drop = {"content-length"}', 'drop = {"connection", "transfer-encoding"}'),
    "g-who-turn": ('{"X-User": name} | theirs', 'theirs | {"X-User": name}'),
    "g-wait-turn": ("patience = None", "patience = 1.2"),
    "g-kept-turn": ("room = 30", "room = 75"),
    "g-old-turn": ("policy = Expire()", "policy = FetchEarly(Random(1), beta=3)"),
    "g-much-turn": ("rate, burst = 30, 1", "rate, burst = 10, 20"),
}
