"""Train a classifier with scikit-learn and write it to a directory; its image will hold ONNX.

    python train.py OUT

Prints the library's own answers to the sample, as the server will give them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = random.normal(size=(500, 4))
classes = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 1)

model = HistGradientBoostingClassifier(max_iter=20, random_state=7).fit(rows, classes)
skops.io.dump(model, out / "model.skops")

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"x": sample.tolist()}))
# The image holds no scikit-learn; at the build, its answers are held against the library's.
(out / "so1s.yaml").write_text(
    "schema: so1s/v1\nformat: skops\nfile: model.skops\nsample: sample.json\noptimize: onnx\n"
)

answers = {"label": model.predict(sample).tolist(), "probabilities": model.predict_proba(sample).tolist()}
print(json.dumps(answers))
