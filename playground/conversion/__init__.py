"""Model folders in Hugging Face layout become GGUF files: names, shapes, hyperparameters, tokenizers, written tensor by tensor.

Numpy and `gguf` alone; knows no torch, no engine and no window. `convert` is the whole of it for others; `architectures` and `names`
say how llama.cpp calls and orders a model's weights.
"""

from .convert import Report, convert

__all__ = ["Report", "convert"]
