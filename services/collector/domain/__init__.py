"""Pure decisions on samples: no I/O, no clock. Times are integer milliseconds since the epoch, UTC."""
