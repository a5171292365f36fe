"""Train a classifier with Keras and write it to a directory, ready for `so1s publish`.

    python train.py OUT

Prints the library's own answers to the sample, as the server will give them.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = random.normal(size=(500, 4)).astype(np.float32)
classes = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 1)

keras.utils.set_random_seed(7)
row = keras.Input((4,), name="row")
hidden = keras.layers.Dense(16, activation="gelu")(row)
probabilities = keras.layers.Dense(3, activation="softmax", name="probabilities")(hidden)
model = keras.Model(row, probabilities)
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
model.fit(rows, classes, epochs=3, verbose=0)
model.save(out / "model.keras")

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"row": sample.tolist()}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: keras\nfile: model.keras\nsample: sample.json\n")

print(json.dumps({"probabilities": model.predict(sample, verbose=0).tolist()}))
