"""The game day (chapter 15): the whole shop, hidden faults, cards bought beforehand, money counted from ledgers.

``cards`` what a team may buy · ``incidents`` the ten faults and what fate does to each order · ``ledger`` the books ·
``services`` what each service does, for both worlds · ``shop`` real servers · ``simulated`` SimPy · ``player`` notes,
scripted players, the formula, the cheapest cards · ``code`` twelve characters that tell a score.

Everything counts in orders: a fault begins with an order, a lever acts from an order on. So a round of 8 s and one of
60 s are the same game, and a slow machine plays it too.
"""
