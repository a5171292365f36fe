"""`python -m services.builder.locks`."""

from services.builder.locks import FORMATS, LOCKS, export

for model_format in FORMATS:
    (LOCKS / f"{model_format}.txt").write_text(export(model_format))
