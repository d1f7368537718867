"""The lab checks: a learner's code is put to work, and a report says what happened.

``report``     what was expected, what happened instead, and the learner's own run as a diagram
``exercise``   how a check is written: a list of expectations about one exercise
``runner``     runs a learner's function under a time limit, whatever it does
``limit``      the time limit itself
``leftovers``  the threads and servers that somebody's code left running
``progress``   the small file of predictions and passed exercises
``lab01``, …   the checks of one lab each
"""
