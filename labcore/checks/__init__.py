"""One module a lab: `labNN.check_<function>(answer)` and `labNN.lend("<function>")`."""
