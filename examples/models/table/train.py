"""Train a pipeline of scikit-learn that picks its columns by name, and write it, ready for `so1s publish`.

    python train.py OUT

Prints the library's own answers to the sample, as the server will give them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

SO1S_YAML = """\
schema: so1s/v1
format: skops
file: model.skops
inputs:
- name: payments
  type: dataframe
  columns: [{name: amount, dtype: float64}, {name: country, dtype: string}]
outputs:
- {name: label, dtype: int64, shape: [-1]}
sample: sample.json
"""

random = np.random.default_rng(7)
payments = pd.DataFrame(
    {"amount": random.exponential(100, 500), "country": random.choice(["NO", "SE", "FI"], 500)}
)
fraud = ((payments["amount"] > 150) & (payments["country"] != "NO")).astype(int)

columns = make_column_transformer((StandardScaler(), ["amount"]), (OneHotEncoder(), ["country"]))
model = make_pipeline(columns, LogisticRegression()).fit(payments, fraud)
skops.io.dump(model, out / "model.skops")

sample = payments[:5]
(out / "sample.json").write_text(json.dumps({"payments": sample.to_dict(orient="records")}))
(out / "so1s.yaml").write_text(SO1S_YAML)

print(json.dumps({"label": model.predict(sample).tolist()}))
