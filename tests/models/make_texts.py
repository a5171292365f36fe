"""Writes a small model of texts, of the kind that is asked for, to a directory; prints its library's answers.

Its weights are random and its vocabulary is made up: nothing is downloaded.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

kind, out = sys.argv[1], Path(sys.argv[2])
SAMPLE = ["late", "it came late and broken", "nobody knows this word"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "late", "it", "came", "and", "broken", "nobody", "this", "word"]

parts = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, "[UNK]"))
parts.pre_tokenizer = pre_tokenizers.Whitespace()
parts.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=parts, pad_token="[PAD]", unk_token="[UNK]")
tokens = tokenizer(SAMPLE, padding=True, return_tensors="pt")

torch.manual_seed(7)
small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
small |= {"vocab_size": len(WORDS), "max_position_embeddings": 32, "initializer_range": 0.5}
if kind == "several-labels":
    config = BertConfig(**small, num_labels=3, problem_type="multi_label_classification")
    model = BertForSequenceClassification(config).eval()
    with torch.inference_mode():
        answer = {"logits": model(**tokens).logits}
elif kind == "number":
    model = BertForSequenceClassification(BertConfig(**small, num_labels=1)).eval()
    with torch.inference_mode():
        answer = {"logits": model(**tokens).logits}
else:  # first-token
    model = BertModel(BertConfig(**small)).eval()
    with torch.inference_mode():
        answer = {"embedding": model(**tokens).last_hidden_state[:, 0]}
    (out / "1_Pooling").mkdir(parents=True)
    (out / "1_Pooling/config.json").write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": "cls"}))
    names = {"Transformer": "", "Pooling": "1_Pooling"}
    modules = [{"type": f"sentence_transformers.models.{name}", "path": path} for name, path in names.items()]
    (out / "modules.json").write_text(json.dumps(modules))

model.save_pretrained(out)
tokenizer.save_pretrained(out)
(out / "sample.json").write_text(json.dumps({"text": SAMPLE}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: transformers\nsample: sample.json\n")
print(json.dumps({name: value.tolist() for name, value in answer.items()}))  # noqa: T201 - the test reads it
