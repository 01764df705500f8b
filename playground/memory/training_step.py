"""What a training step holds at its peak where it computes in fp32 without casts, as on a processor: counted tensor by tensor.

Between forward and backward each operation keeps what its derivative needs (PyTorch's `derivatives.yaml`), a tensor that several
operations need once. H width, A = heads x head width, K and V the widths of keys and values, M feed-forward width; per token and layer:
- the norms: each its input (H); trained ones also what they have normed (H). Norms of queries and keys A and K more, norms behind a block H
- a matrix that is trained or adapted keeps its input: H for q, k, v together, A for o, H for gate and up together, M for down; an adapter
  also its `rank`. Under dropout each adapted matrix keeps a masked input and the mask of its own in place of the shared input
- attention: rotated queries A and keys K, values V, its output A, and per head a number (Dao 2022, algorithm 1); with a mask (packed rows)
  keys and values are as wide as the queries
- gate, its activation and up: 3 M; without a gate the activation's input
On top of that, the larger of what the loss and what one layer take while they are computed:
- loss: of the positions that carry one, log-softmax, its gradient and that of the logits, 3 V each
- a layer, in its backward pass: the gradients of two widths of the feed-forward and of two residuals; under NF4 one matrix in fp32 too
With checkpointing the layers' inputs (H each) stand in for all that, and one layer at a time has its own.

What is held is not yet what is taken: see `HEAP`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .linear import layer_matrices

if TYPE_CHECKING:
    from .shape import LayerShape, ModelShape
    from .training_fit import TrainingPlan

ELEMENT = 4
"""bytes"""
HEAP = 2.3
"""Bytes of the C library's heap for a byte that is kept in it, where nothing is checkpointed. Its holes hardly ever take an aligned piece of
their own size again (glibc before 2.38), so the gradients of a tensor, each as large, come to lie beside it and not in its place. Measured:
1.7 to 2.9, on models of six shapes; runs on one's own machine replace it (`activation_factor`). The loss's holes are large and are filled."""
MAPPED = 32 << 20
"""bytes from which on a tensor never lies in the heap but is mapped by itself (glibc's DEFAULT_MMAP_THRESHOLD_MAX), and is given back at once;
with checkpointing the training script has that done with all"""
CURVE = {"gpt2": 4}
"""widths that an activation without a gate keeps where it is computed in pieces; one otherwise"""


def step_bytes(shape: ModelShape, plan: TrainingPlan, gradients: int) -> int:
    """Bytes at the peak beside weights, optimizer states and `gradients`, which are there at the same time only if batches add up."""
    loss = 3 * ELEMENT * round(plan.tokens * plan.labelled) * shape.vocab
    inside = max((_inside(shape, plan, layer) for layer in shape.layers), default=0.0)
    kept = [sum(_taken(plan, plan.tokens * width) for width in kept_widths(shape, layer, plan)) for layer in shape.layers]
    state = _taken(plan, plan.tokens * shape.embd)
    ends = 2 * state  # the embeddings, and what the last norm keeps
    if plan.checkpointing:
        taken = ends + len(kept) * state + max(loss, max(kept, default=0.0) + inside)
    else:
        taken = ends + sum(kept) + max(loss, inside)
    if not plan.accumulates:  # they come as what is kept goes
        taken = max(taken, gradients) - gradients
    return round(taken)


def _taken(plan: TrainingPlan, elements: float) -> float:
    """Bytes that a tensor takes by the end of a step."""
    held = elements * ELEMENT
    return held if plan.checkpointing or held >= MAPPED else held * HEAP


def kept_elements(shape: ModelShape, layer: LayerShape, plan: TrainingPlan) -> float:
    """Elements that one token keeps in one layer."""
    return sum(kept_widths(shape, layer, plan))


def kept_widths(shape: ModelShape, layer: LayerShape, plan: TrainingPlan) -> list[float]:
    """How wide the tensors are that are kept in one layer."""
    full, embd = plan.method == "full", shape.embd
    queries, values = layer.heads * layer.head_k, layer.heads * layer.head_v
    inner = active_width(layer)
    norms = (1 if shape.parallel else 2) * (2 if full and not shape.layer_norm else 1) + 2 * shape.post_norms
    kept: list[float] = [embd] * norms
    if shape.qk_norm:
        kept += [queries, layer.k_width]
    if layer.attention and layer.heads:
        wide = plan.masked and layer.heads > layer.kv_heads
        kept += [queries, values, layer.heads]
        kept += [queries, values] if wide else [layer.k_width, layer.v_width]
    kept += [inner] * (3 if shape.gated else CURVE.get(shape.architecture, 1))
    return kept + _inputs(shape, layer, plan)


def _inputs(shape: ModelShape, layer: LayerShape, plan: TrainingPlan) -> list[float]:
    """Of matrices that are trained or adapted: what their gradients need."""
    full = plan.method == "full"
    used = max(1, layer.experts_used)
    shared: dict[str, float] = {}
    kept: list[float] = []
    for name, _, into, count in layer_matrices(shape, layer):
        if not (full or "all-linear" in plan.targets or name in plan.targets):
            continue
        times = min(count, used)
        kept += [] if full else [plan.rank * times]
        if plan.dropout and not full:
            kept += [into * times] * 2
        else:
            shared[_shared(name)] = into * times
    return kept + list(shared.values())


def _shared(name: str) -> str:
    """Which matrices have one input."""
    return {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}.get(name, name)


def _inside(shape: ModelShape, plan: TrainingPlan, layer: LayerShape) -> float:
    """Bytes that come and go while a layer's gradients are computed."""
    largest = max((rows * columns for _, rows, columns, _ in layer_matrices(shape, layer)), default=0)
    matrix = _taken(plan, largest) if plan.method == "qlora" else 0.0
    return 2 * sum(_taken(plan, plan.tokens * width) for width in (active_width(layer), shape.embd)) + matrix


def active_width(layer: LayerShape) -> int:
    """The feed-forward width one token goes through: of a mixture, the experts chosen."""
    return layer.feed_forward or layer.experts_used * layer.expert_ff + layer.shared_ff
