"""`python -m services.builder.locks`."""

from services.builder.locks import write

write()
