"""Serves the state dict: load_artifacts() runs once, run() for each request."""

import torch
from classifier import Classifier


def load_artifacts():
    """It runs beside this file. Of the state dict, which is a pickle, tensors alone are read."""
    model = Classifier()
    model.load_state_dict(torch.load("state.pt", weights_only=True))
    return model.eval()


def run(artifacts, input):
    """Arrays by name in, arrays by name out; the first axis is one row for each answer."""
    with torch.inference_mode():
        probabilities = artifacts(torch.from_numpy(input["row"]))
    return {"label": probabilities.argmax(dim=1).numpy(), "probabilities": probabilities.numpy()}
