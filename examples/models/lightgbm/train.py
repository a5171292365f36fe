"""Train a classifier with LightGBM and write it to a directory, ready for `so1s publish`.

    python train.py OUT

Prints the library's own answers to the sample, as the server will give them.
"""

import json
import sys
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = random.normal(size=(500, 4))
classes = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 1)

model = LGBMClassifier(n_estimators=20, verbose=-1).fit(rows, classes)
model.booster_.save_model(out / "model.txt")

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"x": sample.tolist()}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: lightgbm\nfile: model.txt\nsample: sample.json\n")

label, probabilities = np.asarray(model.predict(sample)), np.asarray(model.predict_proba(sample))
print(json.dumps({"label": label.tolist(), "probabilities": probabilities.tolist()}))
