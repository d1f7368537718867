"""Exercise 5: rules of four kinds, and mistakes."""

#: The rates and windows of Google's Site Reliability Workbook, and a least number of calls.
FAST, MIDDLE, SLOW = (14.4, 60, 5, 500), (6, 360, 30, 500), (1, 4320, 360, 1000)


def calls(least, *rules):
    return [(burn, long, short, least) for burn, long, short, _ in rules]


RIGHT = {
    "the workbook's": [FAST, MIDDLE, SLOW],
    "fast and slow, in a tuple": ((FAST, SLOW),),
    "a day for the slow": [FAST, [2, 1440, 120, 5000]],
    "only one": [(3, 360, 60, 2000)],
    "four": [(100, 10, 1, 150), (20, 60, 5, 500), (6, 360, 30, 500), (2.5, 1440, 180, 500)],
}
WRONG = {
    "five": ([FAST, MIDDLE, SLOW, FAST, SLOW], {"not-rules"}),
    "none": ([], {"not-rules"}),
    "short and long": ([FAST, (6, 30, 360, 500), SLOW], {"not-rules"}),
    "half a minute": ([FAST, (6, 360, 30.5, 500), SLOW], {"not-rules"}),
    "no burn": ([(0, 60, 5, 500), MIDDLE, SLOW], {"not-rules"}),
    "three numbers": ([rule[:3] for rule in (FAST, MIDDLE, SLOW)], {"not-rules"}),
    "only the slow": ([SLOW], {"sudden"}),
    "for outages, and the slow": ([(300, 60, 5, 500), SLOW], {"sudden"}),
    "too many calls": (calls(20_000, FAST, MIDDLE, SLOW), {"sudden"}),
    "a hole between": ([FAST, (3, 2000, 300, 500)], {"one-in-100"}),
    "only the fast": ([FAST], {"one-in-250"}),
    "none for days": ([FAST, MIDDLE], {"one-in-250"}),
    "long windows only": ([(14.4, 60, 60, 500), (6, 360, 360, 500), (1, 4320, 4320, 1000)], {"hidden"}),
    "short windows only": ([(14.4, 5, 5, 500), (6, 30, 30, 500), (1, 360, 360, 500)], {"blip"}),
    "any error burst": ([(100, 1, 1, 150), FAST, MIDDLE, SLOW], {"blip"}),
    "no least number": (calls(0, FAST, MIDDLE, SLOW), {"night"}),
    "ten calls": (calls(10, FAST, MIDDLE, SLOW), {"night"}),
    "every ripple": ([FAST, (0.3, 300, 60, 3000)], {"quiet"}),
}
