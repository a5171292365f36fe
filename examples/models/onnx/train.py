"""Train a classifier with scikit-learn and write it as ONNX to a directory, ready for `so1s publish`.

    python train.py OUT

Prints the library's own answers to the sample, as the server will give them.
"""

import json
import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = random.normal(size=(500, 4)).astype(np.float32)
classes = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 1)

model = LogisticRegression().fit(rows, classes)
graph = to_onnx(model, rows[:1], options={"zipmap": False})
(out / "model.onnx").write_bytes(graph.SerializeToString())

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"X": sample.tolist()}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: onnx\nfile: model.onnx\nsample: sample.json\n")

answers = {"label": model.predict(sample).tolist(), "probabilities": model.predict_proba(sample).tolist()}
print(json.dumps(answers))
