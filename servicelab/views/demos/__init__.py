"""The panels of the chapters' demonstrations, one module each, ready for a projector."""
