"""The formats of models, told by content: as a builder tells them, and whoever looks before an upload.

Pure, but for reading the files they are given; nothing of a model is run.
"""
