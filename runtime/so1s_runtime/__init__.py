"""The inference server inside every So1s image; it knows nothing of events.

One process serves one version of one model, read from a directory that holds `model.json` (`manifest`)
and the model file. A request passes four layers, each of which can be read alone:

    server   sockets, signals, drain
    app      paths, request ids, limits, metrics, logs
    plain, protocol   JSON body → arrays → JSON body (`/predict`, Open Inference Protocol v2); pure
    model    arrays → arrays, by a loader's library

What is no array, such as a text or an image, is one to all between the two edges of `iotypes`.
"""

__version__ = "0.1.0"
