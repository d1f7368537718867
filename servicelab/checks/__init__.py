"""The lab checks: a learner's code is put to work, and a report says what happened.

``report``     what was expected, what happened instead, and the learner's own run as a diagram
``scenario``   how a check is written: words, a stage, and parts (CONTRIBUTING.md, "Writing a check")
``exercise``   how a check runs: the examiner, and the exercise that answers with a report
``answer``     was an answer changed since the last report?
``runner``     runs a learner's function under a time limit, whatever it does
``limit``      the time limit itself
``leftovers``  the threads and servers that somebody's code left running
``stall``      asks again when the machine stood still
``slow_number``  makes races show at once
``crashing``   a process that can die after any of its steps, and what its database keeps
``progress``   the small file of predictions and passed exercises
``lab01``, …   the checks of one lab each
"""
