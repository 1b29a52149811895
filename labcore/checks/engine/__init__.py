"""The parts of every check: read `exercise` first, then `trial`, which runs answers."""
