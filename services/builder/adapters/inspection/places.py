"""Where things lie for a model in the sandbox: as in an image, wherever the builder has them."""

CODE = "/opt/so1s/inspection"
"""Holds this package, as `so1s_inspection`."""
DEPENDENCIES = "/opt/so1s/dependencies"
RUNTIME = "/opt/so1s/runtime"
MODEL = "/opt/so1s/model"
LENT = "/opt/so1s/lent"
"""A directory for each model that is being tried; each model sees its own as MODEL, and not this."""
TEMPORARY = "/tmp"  # noqa: S108 - each model has its own
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - part of the model's own TEMPORARY
NOBODY = 65534
"""User and group."""
