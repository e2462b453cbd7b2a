"""What the program does, as functions without a terminal; `cli` and `serving` share it."""
