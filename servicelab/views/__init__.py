"""Everything that draws: the space-time diagram, figures with a text alternative, predictions, quizzes, live panels.

``theme`` holds the look, ``spacetime`` the diagram of a run, ``show`` the figure with its alternative text,
``predict`` and ``quiz`` the questions, ``live`` the panels that move, ``claims`` the verdicts of a chapter and
``reset`` the button that stops every server. ``widget_or_text`` knows whether anyone can see a widget, and ``rerun``
lets go of what a cell made when it is run again: in a notebook it begins to with the first import of this room.
"""

from servicelab.views import rerun

rerun.watch()
