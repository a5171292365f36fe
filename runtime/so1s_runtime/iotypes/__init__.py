"""IO types: what a model takes and gives beside plain tensors.

A type stands at two edges, and between these all is tensors, as the Open Inference Protocol has them:

    codec       JSON, CSV, text or bytes of `/predict` ↔ tensors; tensors ↔ what the model's code takes
    values, frame, image   the codecs of each type
    bodies, form   which codec reads which body, by its content type
    types       the codecs of a model's whole signature, chosen once as it is loaded
"""
