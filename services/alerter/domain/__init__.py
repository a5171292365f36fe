"""Pure decisions: what a rule says of a window, and the life of an incident."""
