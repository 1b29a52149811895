"""A student's notebook, tried as grading will try it, and the file to hand in."""

from .command import submit

__all__ = ["submit"]
