"""What the commands of a student do: setup, lab, doctor, update, submit."""
