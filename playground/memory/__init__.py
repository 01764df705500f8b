"""Memory: what a model takes and what there is, as pure arithmetic. No torch, no engine, no file is opened here.

shape, sources           what is known of a model
kv_cache, buffers        llama.cpp's own buffers (graph, layers, recurrent, schedule compute the largest of them)
fit                      the answer for a GGUF model: terms, verdict, best number of layers, largest context
transformers_fit         the same through transformers and bitsandbytes
training_fit             LoRA, QLoRA, full; sharding over several devices
devices                  what this computer has
"""

from .devices import Device, find_devices
from .fit import DeviceFit, Fit, Situation, Terms, best_gpu_layers, fit, largest_context, rule_of_thumb
from .shape import ModelShape
from .sources import count_parameters, read_config, shape_from_config, shape_from_gguf
from .training_fit import TrainingFit, TrainingPlan, sharding_plan, training_fit
from .transformers_fit import transformers_fit

__all__ = [
    "Device",
    "DeviceFit",
    "Fit",
    "ModelShape",
    "Situation",
    "Terms",
    "TrainingFit",
    "TrainingPlan",
    "best_gpu_layers",
    "count_parameters",
    "find_devices",
    "fit",
    "largest_context",
    "read_config",
    "rule_of_thumb",
    "shape_from_config",
    "shape_from_gguf",
    "sharding_plan",
    "training_fit",
    "transformers_fit",
]
