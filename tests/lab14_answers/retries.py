"""Exercise 1: what may be sent again, in three ways, and mistakes."""

from tests.lab11_answers import but


class Retries:
    """Conditions one after another."""

    def __init__(self, tries, share, least):
        self.tries, self.share, self.left = tries, share, least

    def headers(self, request, number):
        headers = {name: value for name, value in request.headers.items() if name.lower() != "x-envoy-attempt-count"}
        came = int(get(request, "x-envoy-attempt-count") or 1)
        if number == 1:
            self.left += self.share
        headers["x-envoy-attempt-count"] = str(came if came > 1 else number)
        return headers

    def again(self, request, number, outcome):
        key = get(request, "idempotency-key")
        harmless = request.method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE") or bool(key)
        perhaps = outcome in ("reset", "timeout", 502, 503, 504)
        if int(get(request, "x-envoy-attempt-count") or 1) > 1 or number >= self.tries:
            return False
        if outcome != "connect-failure" and not (perhaps and harmless):
            return False
        if self.left < 1:
            return False
        self.left -= 1
        return True


def get(request, name):
    return next((value for key, value in request.headers.items() if key.lower() == name), "")


def came_again(request):
    return int(get(request, "x-envoy-attempt-count") or 1) > 1


class Counts:
    """Whole numbers are counted, nothing is added up; sets; one expression."""

    idempotent, perhaps = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}, {"reset", "timeout", 502, 503, 504}

    def __init__(self, *settings):
        self.settings, self.requests, self.retries = settings, 0, 0

    def headers(self, request, number):
        self.requests += number == 1
        lower = {name.lower(): name for name in request.headers}
        mine = dict(request.headers)
        came = mine.pop(lower.get("x-envoy-attempt-count"), "1")
        return mine | {"X-Envoy-Attempt-Count": f"{max(int(came), number)}"}

    def again(self, request, number, outcome):
        tries, share, least = self.settings
        lower = {name.lower(): value for name, value in request.headers.items()}
        harmless = request.method in self.idempotent or lower.get("idempotency-key", "") != ""
        worth = outcome == "connect-failure" or (harmless and outcome in self.perhaps)
        first = lower.get("x-envoy-attempt-count", "1") == "1"
        may = worth and first and number < tries and self.retries + 1 <= least + share * self.requests
        self.retries += may
        return may


def made_of_functions(tries, share, least):
    """No class: an object with two functions, and a list that both see."""
    budget = [float(least)]

    class Both:
        @staticmethod
        def headers(request, number):
            budget[0] += share if number == 1 else 0
            return {k: v for k, v in request.headers.items() if k.lower() != "x-envoy-attempt-count"} | {
                "x-envoy-attempt-count": str(max(number, above(request)))
            }

        @staticmethod
        def again(request, number, outcome):
            sent = outcome != "connect-failure"
            keyed = any(v for k, v in request.headers.items() if k.casefold() == "idempotency-key")
            no = above(request) > 1 or number + 1 > tries or budget[0] < 1
            no = no or (sent and (outcome not in ("reset", "timeout", 502, 503, 504)))
            no = no or (sent and not keyed and request.method in ("POST", "PATCH"))
            budget[0] -= not no
            return not no

    def above(request):
        return max([int(v) for k, v in request.headers.items() if k.lower() == "x-envoy-attempt-count"], default=1)

    return Both


RIGHT = {"conditions": Retries, "counts": Counts, "functions": made_of_functions}
METHODS, PERHAPS = '("GET", "HEAD", "OPTIONS", "PUT", "DELETE")', '("reset", "timeout", 502, 503, 504)'
ABOVE = 'if int(get(request, "x-envoy-attempt-count") or 1) > 1'
WRONG = {
    "every POST": (['or bool(key) => or True'], "double-charge"),
    "any header is a key": (["or bool(key) => or bool(request.headers)"], "double-charge"),
    "any header that ends so": (['get(request, "idempotency-key") => "idempotency-key" in '
                                 '" ".join(request.headers).lower()'], "double-charge"),
    "POST after a 503": (["(perhaps and harmless) => (perhaps and (harmless or outcome == 503))"], "double-charge"),
    "PATCH is idempotent": ([f'{METHODS} => ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH")'], "double-charge"),
    "never a POST": (["if outcome != => if not harmless or outcome !="], "not-sent"),
    "no PATCH": (["if outcome != => if request.method == 'PATCH' or outcome !="], "not-sent"),
    "only GET": ([f'{METHODS} => ("GET", "HEAD", "OPTIONS")'], "idempotent"),
    "no 502": ([f'{PERHAPS} => ("reset", "timeout", 503, 504)'], "idempotent"),
    "one spelling": (['get(request, "idempotency-key") => request.headers.get("Idempotency-Key")'], "keyed"),
    "an empty key": (["or bool(key) => or 'idempotency-key' in map(str.lower, request.headers)"], "keyed"),
    "every 5xx": ([f"{PERHAPS} => ('reset', 'timeout', *range(500, 600))"], "final"),
    "429, too": ([f"{PERHAPS} => ('reset', 'timeout', 429, 502, 503, 504)"], "final"),
    "tries are retries": (["number >= self.tries => number > self.tries"], "tries"),
    "one less": (["number >= self.tries => number + 1 >= self.tries and number > 1"], "tries"),
    "no budget": (["self.left -= 1 => pass"], "storm"),
    "a try fills it": (["if number == 1:\n => if number:\n"], "storm"),
    "a no is paid for": (["if outcome != => self.left -= not harmless\n        if outcome !="], "thrifty"),
    "a no to a repetition is paid for": ([f"{ABOVE} => self.left -= came_again(request)\n        {ABOVE}"], "thrifty"),
    "a repetition fills nothing": (["if number == 1:\n => if number == 1 and came < 2:\n"], "thrifty"),
    "only what fails fills it": ([
        "self.left += self.share => pass", "perhaps = => self.left += self.share * (number == 1)\n        perhaps ="
    ], "thrifty"),
    "a budget for those that may be repeated": (["self.left < 1 => self.left < 1 and harmless"], "storm"),
    "only what perhaps was done costs": (["self.left -= 1 => self.left -= perhaps"], "storm"),
    "nothing fills it": (["self.left += self.share => pass"], "thrifty"),
    "each layer for itself": ([f"{ABOVE} or => if"], "layers"),
    "who says its number is not repeated": ([f"{ABOVE} => if get(request, 'x-envoy-attempt-count')"], "layers"),
    "retries are counted": (["came > 1 else number => came > 1 else number - 1"], "counted"),
    "a number": (["= str(came => = int(came"], "counted"),
    "two spellings": (['name.lower() != "x-envoy-attempt-count" => name != "x-envoy-attempt-count"'], "counted"),
    "begins anew": (["came if came > 1 else number => number"], "counted"),
    "only its own": (["headers[\"x-envoy => headers = {}; headers[\"x-envoy"], "changed"),
    "into what came": (["return headers => request.headers.update(headers); return headers"], "changed"),
    "a key for everybody": (["came = => headers.setdefault('idempotency-key', 'k')\n        came ="], "changed"),
    "drops what is empty": (['if name.lower() != => if value and name.lower() !='], "changed"),
    "small letters": (["{name: value => {name.lower(): value"], "changed"),
}  # fmt: skip
WRONG = {name: (but(Retries, *changes), {code}) for name, (changes, code) in WRONG.items()}
