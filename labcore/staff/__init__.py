"""What the commands of an instructor do; a class folder does not have it."""
