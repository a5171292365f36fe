"""Train a classifier with PyTorch and write its state dict, with the code that serves it, for `so1s publish`.

    python train.py OUT

Code runs where the operator allows it; an exported program (../torch) needs no leave.
Prints the library's own answers to the sample, as the server will give them.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from classifier import Classifier

SO1S_YAML = """\
schema: so1s/v1
format: python
inputs: [{name: row, dtype: float32, shape: [-1, 4]}]
outputs: [{name: label, dtype: int64, shape: [-1]}, {name: probabilities, dtype: float32, shape: [-1, 3]}]
sample: sample.json
"""

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = torch.from_numpy(random.normal(size=(500, 4)).astype(np.float32))
classes = (rows[:, 0] > 0).long() + (rows[:, 1] > 1).long()

torch.manual_seed(7)
model = Classifier()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(50):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model.layers(rows), classes).backward()
    optimizer.step()
model.eval()

torch.save(model.state_dict(), out / "state.pt")
for code in ("classifier.py", "prepared.py"):
    shutil.copy(Path(__file__).with_name(code), out)
# The version without `+cu130` and the like, which an index does not have.
(out / "requirements.txt").write_text(f"torch=={torch.__version__.partition('+')[0]}\n")

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"row": sample.tolist()}))
(out / "so1s.yaml").write_text(SO1S_YAML)

with torch.inference_mode():
    probabilities = model(sample)
print(json.dumps({"label": probabilities.argmax(dim=1).tolist(), "probabilities": probabilities.tolist()}))
