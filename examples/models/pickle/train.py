"""Train a classifier with scikit-learn and write it with joblib, as code that an operator must allow.

    python train.py OUT

Prints the library's own answers to the sample. `examples/models/sklearn` writes a model as data alone.
"""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = random.normal(size=(500, 4))
names = np.array(["low", "middle", "high"])
classes = names[(rows[:, 0] > 0).astype(int) + (rows[:, 1] > 1)]

model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, classes)
joblib.dump(model, out / "model.joblib", compress=3)

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"x": sample.tolist()}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: pickle\nfile: model.joblib\nsample: sample.json\n")

answers = {"label": model.predict(sample).tolist(), "probabilities": model.predict_proba(sample).tolist()}
print(json.dumps(answers))
