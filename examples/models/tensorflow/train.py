"""Train a classifier with TensorFlow and write it as a SavedModel, ready for `so1s publish`.

    python train.py OUT

Prints the library's own answers to the sample, as the server will give them.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = random.normal(size=(500, 4)).astype(np.float32)
classes = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 1)
NAMES = tf.constant(["low", "middle", "high"])


class Classifier(tf.Module):
    """Softmax regression; what it answers has names, and so has what it is asked."""

    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(tf.zeros((4, 3)))
        self.bias = tf.Variable(tf.zeros(3))

    def logits(self, row):
        return row @ self.weights + self.bias

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="row")])
    def serve(self, row):
        probabilities = tf.nn.softmax(self.logits(row))
        label = tf.gather(NAMES, tf.argmax(probabilities, axis=1))
        return {"label": label, "probabilities": probabilities}


model = Classifier()
for _ in range(50):
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, model.logits(rows))
        loss = tf.reduce_mean(losses)
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        variable.assign_sub(0.5 * gradient)
tf.saved_model.save(model, out, signatures={"serving_default": model.serve})

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"row": sample.tolist()}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: tensorflow\nsample: sample.json\n")

answers = model.serve(tf.constant(sample))
label = [text.decode() for text in answers["label"].numpy()]
print(json.dumps({"label": label, "probabilities": answers["probabilities"].numpy().tolist()}))
