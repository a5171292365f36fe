"""Writes a network to a file, by the library that is asked for: `python network.py keras|torch FILE`.

It takes what the other models of the benchmark take, and its weights are as they began: they change no speed.
"""

import sys

_FEATURES, _HIDDEN, _CLASSES = 30, 256, 2


def write_keras(file: str) -> None:
    import keras

    row = keras.Input((_FEATURES,), name="x")
    hidden = keras.layers.Dense(_HIDDEN, activation="relu")(row)
    hidden = keras.layers.Dense(_HIDDEN, activation="relu")(hidden)
    keras.Model(row, keras.layers.Dense(_CLASSES, activation="softmax", name="y")(hidden)).save(file)


def write_torch(file: str) -> None:
    import torch
    from torch.nn import Linear, ReLU, Sequential, Softmax

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            hidden = (Linear(_FEATURES, _HIDDEN), ReLU(), Linear(_HIDDEN, _HIDDEN), ReLU())
            self.layers = Sequential(*hidden, Linear(_HIDDEN, _CLASSES), Softmax(dim=1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x)

    rows = {"x": {0: torch.export.Dim("rows")}}
    program = torch.export.export(Network().eval(), (torch.zeros(2, _FEATURES),), dynamic_shapes=rows)
    torch.export.save(program, file)


if __name__ == "__main__":
    {"keras": write_keras, "torch": write_torch}[sys.argv[1]](sys.argv[2])
