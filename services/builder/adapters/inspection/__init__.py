"""What runs on an image's own libraries to try a model, never inside the builder.

Uses the standard library alone, since the builder's packages are not there, and knows itself as the package
`so1s_inspection`, since the builder's other modules are not there either.
"""
