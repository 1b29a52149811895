"""What the checks miss: every small change of right answers, run as an answer."""
