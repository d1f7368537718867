"""The package behind the notebooks. Import from the rooms: ``from servicelab.trace import Trace``."""
