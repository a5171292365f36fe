"""Train a classifier with PyTorch and write it as an exported program, ready for `so1s publish`.

    python train.py OUT

Prints the library's own answers to the sample, as the server will give them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = torch.from_numpy(random.normal(size=(500, 4)).astype(np.float32))
classes = (rows[:, 0] > 0).long() + (rows[:, 1] > 1).long()


class Classifier(torch.nn.Module):
    """What it answers has names: the keys of its dictionary."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))

    def forward(self, row):
        probabilities = torch.softmax(self.layers(row), dim=1)
        return {"label": probabilities.argmax(dim=1), "probabilities": probabilities}


torch.manual_seed(7)
model = Classifier()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(50):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model.layers(rows), classes).backward()
    optimizer.step()
model.eval()

# A dynamic first dimension takes any number of rows.
dynamic = {"row": {0: torch.export.Dim("rows")}}
torch.export.save(torch.export.export(model, (rows[:2],), dynamic_shapes=dynamic), out / "model.pt2")

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"row": sample.tolist()}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: torch\nfile: model.pt2\nsample: sample.json\n")

with torch.inference_mode():
    print(json.dumps({name: value.tolist() for name, value in model(sample).items()}))
