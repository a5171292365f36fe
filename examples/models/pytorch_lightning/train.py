"""Train a classifier with PyTorch Lightning and write it as an exported program, ready for `so1s publish`.

    pip install torch pytorch-lightning
    python train.py OUT

A checkpoint is weights without a model: it is loaded by its class, and exported as any module of PyTorch.
Prints the library's own answers to the sample, as the server will give them.
"""

import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytorch_lightning as lightning
import torch

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
rows = torch.from_numpy(random.normal(size=(500, 4)).astype(np.float32))
classes = (rows[:, 0] > 0).long() + (rows[:, 1] > 1).long()


class Classifier(lightning.LightningModule):
    """What it answers has names: the keys of its dictionary."""

    def __init__(self, hidden):
        super().__init__()
        self.save_hyperparameters()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 3)
        )

    def forward(self, row):
        probabilities = torch.softmax(self.layers(row), dim=1)
        return {"label": probabilities.argmax(dim=1), "probabilities": probabilities}

    def training_step(self, batch):
        row, label = batch
        return torch.nn.functional.cross_entropy(self.layers(row), label)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="pytorch_lightning")  # its advice on workers and loggers
lightning.seed_everything(7, verbose=False)
batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows, classes), batch_size=100)
quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
with tempfile.TemporaryDirectory() as directory:
    trainer = lightning.Trainer(max_epochs=10, accelerator="cpu", enable_checkpointing=False, **quiet)
    trainer.fit(Classifier(hidden=16), batches)
    trainer.save_checkpoint(f"{directory}/last.ckpt")
    model = Classifier.load_from_checkpoint(f"{directory}/last.ckpt").eval()

# A dynamic first dimension takes any number of rows.
dynamic = {"row": {0: torch.export.Dim("rows")}}
torch.export.save(torch.export.export(model, (rows[:2],), dynamic_shapes=dynamic), out / "model.pt2")

sample = rows[:5]
(out / "sample.json").write_text(json.dumps({"row": sample.tolist()}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: torch\nfile: model.pt2\nsample: sample.json\n")

with torch.inference_mode():
    print(json.dumps({name: value.tolist() for name, value in model(sample).items()}))
