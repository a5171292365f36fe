"""Train a classifier with PyTorch and write it as TorchScript, ready for `so1s publish`.

    python train.py OUT

TorchScript keeps neither types nor shapes, so so1s.yaml says them; an exported program (../torch) keeps both.
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

torch.manual_seed(7)
layers = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
optimizer = torch.optim.Adam(layers.parameters(), lr=0.01)
for _ in range(50):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(layers(rows), classes).backward()
    optimizer.step()

model = torch.nn.Sequential(layers, torch.nn.Softmax(dim=1)).eval()
torch.jit.save(torch.jit.trace(model, rows[:2]), out / "model.pt")

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"row": sample.tolist()}))
(out / "so1s.yaml").write_text("""\
schema: so1s/v1
format: torchscript
file: model.pt
inputs: [{name: row, dtype: float32, shape: [-1, 4]}]
outputs: [{name: probabilities, dtype: float32, shape: [-1, 3]}]
sample: sample.json
""")

with torch.inference_mode():
    print(json.dumps({"probabilities": model(sample).tolist()}))
