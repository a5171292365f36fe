"""Train a small BERT to tell complaints from thanks, and write it to a directory, ready for `so1s publish`.

    python train.py OUT

Nothing is downloaded: the words of the texts are its vocabulary, and its weights begin at random.
Prints the library's own answers to the sample, as the server will give them.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

TEXTS = {
    "complaint": ["the parcel is late", "it came broken", "nobody answers my mail", "the box is broken"],
    "thanks": ["thank you", "great service", "it came early , thank you", "the box is great"],
    "question": ["when is it here", "is the box blue ?", "who answers my mail ?", "is it late ?"],
}
LABELS = list(TEXTS)
texts = [text for each in TEXTS.values() for text in each]
classes = torch.tensor([LABELS.index(label) for label, each in TEXTS.items() for _ in each])

special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
words = [*special.values(), *sorted({word for text in texts for word in text.split()})]
vocabulary = {word: index for index, word in enumerate(words)}
parts = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
parts.pre_tokenizer = pre_tokenizers.Whitespace()
parts.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", special_tokens=[(each, vocabulary[each]) for each in ("[CLS]", "[SEP]")]
)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=parts, **special)

torch.manual_seed(7)
model = BertForSequenceClassification(
    BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for _ in range(100):
    optimizer.zero_grad()
    model(**tokenizer(texts, padding=True, return_tensors="pt"), labels=classes).loss.backward()
    optimizer.step()
model.eval().save_pretrained(out)
tokenizer.save_pretrained(out)

sample = ["the parcel came broken", "great service , thank you", "when is the blue box here ?"]
(out / "sample.json").write_text(json.dumps({"text": sample}))
(out / "so1s.yaml").write_text("schema: so1s/v1\nformat: transformers\nsample: sample.json\n")

with torch.inference_mode():
    probabilities = model(**tokenizer(sample, padding=True, return_tensors="pt")).logits.softmax(dim=1)
labels = [LABELS[index] for index in probabilities.argmax(dim=1)]
print(json.dumps({"label": labels, "probabilities": probabilities.tolist()}))
