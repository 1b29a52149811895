"""What every check is made of: `exercise` first, then `trial`, which asks an answer."""
