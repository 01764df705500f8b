"""Muon: the optimizer for the matrices. It makes every direction of an update equally strong."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch


class Muon:
    """Momentum, made orthogonal by five Newton-Schulz steps.

    Like torch.optim.Muon with `match_rms_adamw`, but in float32: that one multiplies in bfloat16,
    which a processor without bf16 instructions does ten times slower. Matrices of one shape are
    treated together.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Take charge of these matrices."""
        self._groups: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
        for parameter in parameters:
            self._groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self._momentum = {shape: torch.zeros(len(group), *shape) for shape, group in self._groups.items()}

    def state_dict(self) -> dict[Any, torch.Tensor]:
        """Return what a checkpoint must hold."""
        return self._momentum

    def load_state_dict(self, state: dict[Any, torch.Tensor]) -> None:
        """Take up the state of a checkpoint."""
        self._momentum = state

    @torch.no_grad()
    def step(self, rate: float, decay: float = 0.05, momentum: float = 0.95) -> None:
        """Move every matrix once."""
        for shape, group in self._groups.items():
            gradient = torch.stack([parameter.grad for parameter in group])
            average = self._momentum[shape].lerp_(gradient, 1 - momentum)
            update = orthogonal(torch.lerp(gradient, average, momentum))
            size = 0.2 * math.sqrt(max(shape)) * rate
            for parameter, change in zip(group, update, strict=True):
                parameter.mul_(1 - rate * decay).add_(change, alpha=-size)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Bring all singular values of each matrix near 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (2.0315 * (square @ square) - 4.7750 * square) @ x
    return x.mT if tall else x
