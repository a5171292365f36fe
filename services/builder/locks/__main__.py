"""`python -m services.builder.locks`."""

from services.builder.locks import FORMATS, LOCKS, NEEDS, export

for name in (*FORMATS, *NEEDS):
    (LOCKS / f"{name}.txt").write_text(export(name))
