"""The instructor's commands; a class folder does not contain this package."""
