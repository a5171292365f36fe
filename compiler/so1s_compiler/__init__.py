"""Compiles models to ONNX, and holds the answers against those of the library that they come from.

The builder runs it beside that library, outside of its own process; no image holds it.

    compile.py     a model's directory in, ONNX out, or the reason why not
    sklearn.py, xgboost.py, lightgbm.py     one module a format
    forest.py, graph.py     what they write
    rows.py, agreement.py   what is tried, and how far answers may differ
"""

__version__ = "0.1.0"

LINE = "onnx "
"""How a line begins that holds a part of the compiled file, in base64."""
