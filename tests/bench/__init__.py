"""What the fast paths gain over plain loops: `python -m tests.bench`. No test."""
