"""Turns a model version into an image.

Consumes `ModelUploaded`, `BuildRequested` and `BuildCancelled`. Produces `BuildStepFinished`, and for each
chain that asked one `ImageBuilt` or `BuildFailed`. Owns model versions, their builds and the builds' logs.

Promises: a version's name stands for the same bytes for ever; the same artifact, format and libraries give an
image of the same digest; a build whose worker dies is started again by another one; accounts take turns.
"""
