"""Writes models that a builder must refuse, and some that it must not, to the directory that it is given."""

import sys
from pathlib import Path

import keras
import tensorflow as tf

out = Path(sys.argv[1])
ROWS = [tf.TensorSpec((None, 2), tf.float32, name="row")]

unnamed = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
unnamed.save(out / "unnamed.keras")
keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda row: row * 2)]).save(out / "lambda.keras")
keras.Sequential(
    [
        keras.Input((1,), dtype="string"),
        keras.layers.StringLookup(vocabulary=["good", "bad"]),
        keras.layers.Embedding(3, 2),
    ]
).save(out / "words.keras")


class WritesFile(tf.Module):
    @tf.function(input_signature=ROWS)
    def serve(self, row):
        tf.io.write_file(str(out / "written"), "x")
        return {"row": row}


class PrintsToFile(tf.Module):
    @tf.function(input_signature=ROWS)
    def serve(self, row):
        tf.print("x", output_stream=f"file://{out}/written")
        return {"row": row}


class LooksUp(tf.Module):
    """Reads its vocabulary from an asset, as models of text do."""

    def __init__(self):
        super().__init__()
        words = tf.lookup.TextFileInitializer(
            str(out / "words.txt"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticVocabularyTable(words, 1)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="word")])
    def serve(self, word):
        return {"number": self.table.lookup(word)}


(out / "words.txt").write_text("good\nbad\n")
for model in (WritesFile(), PrintsToFile(), LooksUp()):
    tf.saved_model.save(model, out / type(model).__name__, signatures=model.serve)
tf.saved_model.save(tf.Module(), out / "Mute")
