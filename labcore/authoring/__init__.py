"""From solutions to labs, and a student's answers from one notebook into another.

Students need `splice` and `update`; only `release` needs nbgrader, which it imports
when it is called.
"""
