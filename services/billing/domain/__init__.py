"""Pure decisions on money: integers of nano-USD, no I/O, no clock."""
