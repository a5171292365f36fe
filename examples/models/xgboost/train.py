"""Train a classifier with XGBoost and write it to a directory, ready for `so1s publish`.

    python train.py OUT

Prints the library's own answers to the sample, as the server will give them.
"""

import json
import sys
from pathlib import Path

import numpy as np
from xgboost import XGBClassifier

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = random.normal(size=(500, 4)).astype(np.float32)
classes = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 1)

model = XGBClassifier(n_estimators=20, max_depth=3).fit(rows, classes)
model.save_model(out / "model.ubj")

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"x": sample.tolist()}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: xgboost\nfile: model.ubj\nsample: sample.json\n")

answers = {"label": model.predict(sample).tolist(), "probabilities": model.predict_proba(sample).tolist()}
print(json.dumps(answers))
