"""Hugging Face's transformers, imported so that it looks for nothing elsewhere and starts no threads."""

import os

# Read as the libraries are imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

__all__ = ["transformers"]
