"""Pure decisions on deployments: no I/O, no clock."""
