"""Write a model that is code: a linear model in plain NumPy, with weights and a library beside it.

    python train.py OUT

Prints the code's own answers to the sample, as the server will give them.
"""

import json
import sys
from pathlib import Path

import numpy as np

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

PREPARED = '''\
"""A credit score by grade: load_artifacts() runs once, run() for each request."""

import numpy as np
from more_itertools import ilen


def load_artifacts():
    """Beside this file is where it runs."""
    return dict(np.load("weights.npz"))


def run(artifacts, input):
    """Arrays by name in, arrays by name out; the first axis is one row for each answer."""
    score = 1 / (1 + np.exp(-(input["x"] @ artifacts["weights"] + artifacts["bias"])))
    grade = [f"grade {ilen(edge for edge in artifacts['edges'] if edge <= each)}" for each in score]
    return {"score": score, "grade": np.array(grade, dtype=object)}
'''

SO1S_YAML = """\
schema: so1s/v1
format: python
inputs: [{name: x, dtype: float64, shape: [-1, 4]}]
outputs: [{name: score, dtype: float64, shape: [-1]}, {name: grade, dtype: string, shape: [-1]}]
sample: sample.json
"""

# Least squares of the log odds of noisy classes: enough of a model to be wrong about something.
random = np.random.default_rng(7)
rows = random.normal(size=(500, 4))
odds = np.where(rows @ [1.5, -2.0, 0.5, 0.0] + random.normal(size=500) > 0, 2.0, -2.0)
weights, *_ = np.linalg.lstsq(np.column_stack([rows, np.ones(500)]), odds, rcond=None)
sample = rows[:5]

np.savez(out / "weights.npz", weights=weights[:4], bias=weights[4], edges=np.array([0.25, 0.5, 0.75]))
(out / "prepared.py").write_text(PREPARED)
(out / "requirements.txt").write_text("more-itertools==10.8.0\n")
(out / "so1s.yaml").write_text(SO1S_YAML)
(out / "sample.json").write_text(json.dumps({"x": sample.tolist()}))

score = 1 / (1 + np.exp(-(sample @ weights[:4] + weights[4])))
grade = [f"grade {sum(edge <= each for edge in (0.25, 0.5, 0.75))}" for each in score]
print(json.dumps({"score": score.tolist(), "grade": grade}))
