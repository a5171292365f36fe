"""Compiles models to ONNX, and holds the answers against those of the library that they come from.

The builder runs it beside that library, outside of its own process; no image holds it.

    compile.py     a model's directory in, ONNX out, or the reason why not
    sklearn.py, xgboost.py, lightgbm.py, keras.py, torch.py     one module a format
    forest.py, hist_boosting.py, graph.py, network.py     what they write
    rows.py, agreement.py   what is tried, and how far answers may differ
"""

__version__ = "0.1.0"

COMPILER = "so1s-compiler"
"""What wrote the ONNX, where no converter of others did."""

LINE = "onnx "
"""How a line begins that holds a part of the compiled file, in base64."""
