"""The settings of a training run, each declared once: the form, the command line's options and the run folder are made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from playground.errors import SettingError
from playground.params import check, setting

LINEAR = "all-linear"
"""every linear layer but the output: of GPT-2 its transposed ones as well"""


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained. What nobody names is chosen by `suggest`, from the model, the data and the memory that is free."""

    method: Literal["lora", "qlora", "full"] = setting(
        "lora",
        label="Method",
        help="lora trains a small adapter beside the frozen model; qlora does so with the model in four bits, which takes a third of the "
        "memory; full trains all weights.",
    )
    rank: int = setting(
        16,
        label="Rank",
        help="Width of the adapter: more learns more, and takes more memory.",
        minimum=1,
        maximum=1024,
        step=1,
        scale="log",
    )
    alpha: float = setting(
        32.0,
        label="Alpha",
        help="How strongly the adapter counts: its output is scaled by alpha / rank.",
        minimum=0.1,
        maximum=4096.0,
        step=1,
        scale="log",
    )
    dropout: float = setting(
        0.0,
        label="Dropout",
        help="Share of the adapter's inputs that are left out at random while training, against learning by heart; takes memory and time.",
        minimum=0.0,
        maximum=0.9,
        step=0.01,
        off=0.0,
    )
    targets: tuple[str, ...] = setting(
        (LINEAR,),
        label="Targets",
        help="Layers that get an adapter: all-linear, or names such as q_proj,v_proj.",
    )
    learning_rate: float = setting(
        2e-4,
        label="Learning rate",
        help="How far each step goes. Too high and the loss jumps or becomes no number; too low and nothing is learned.",
        minimum=1e-7,
        maximum=1.0,
        scale="log",
    )
    schedule: Literal["cosine", "linear", "constant"] = setting(
        "cosine",
        label="Schedule",
        help="How the learning rate falls after the warm-up: to 0 along a cosine or a line, or not at all.",
    )
    warmup: float = setting(
        0.05,
        label="Warm-up",
        help="Share of the steps in which the learning rate rises from 0.",
        minimum=0.0,
        maximum=0.9,
        step=0.01,
        off=0.0,
    )
    epochs: float = setting(
        3.0, label="Epochs", help="How often the whole dataset is gone through.", minimum=0.01, maximum=10_000.0, step=1
    )
    steps: int = setting(
        0, label="Steps", help="Steps of the optimizer in all, in place of epochs. 0 goes by epochs.", minimum=0, off=0
    )
    batch: int = setting(
        4,
        label="Batch",
        help="Rows computed at once: faster on a graphics card, and more memory.",
        minimum=1,
        maximum=4096,
        step=1,
    )
    accumulation: int = setting(
        2,
        label="Accumulation",
        help="Batches whose gradients are added up before a step: a larger batch without its memory.",
        minimum=1,
        maximum=4096,
        step=1,
        off=1,
    )
    sequence_length: int = setting(
        512,
        label="Sequence length",
        help="Longer rows are cut; memory grows with it.",
        unit="tokens",
        minimum=8,
        maximum=1_048_576,
        step=64,
    )
    packing: bool = setting(
        False,
        label="Packing",
        help="Several short rows in one sequence, none seeing another: nothing is computed for padding.",
    )
    checkpointing: bool = setting(
        False,
        label="Gradient checkpointing",
        help="Computes activations again in place of keeping them: much less memory, about a third slower.",
    )
    precision: Literal["bf16", "fp16", "fp32"] = setting(
        "fp32",
        label="Precision",
        help="The number format that is computed in: bf16 on graphics cards that have it, fp16 on older ones, fp32 on processors.",
    )
    optimizer: Literal["adamw", "adamw-8bit", "paged-adamw-8bit"] = setting(
        "adamw",
        label="Optimizer",
        help="AdamW keeps two numbers for each trained weight; in 8 bits they take a quarter; paged ones move to main memory when the "
        "card is full.",
    )
    weight_decay: float = setting(
        0.01,
        label="Weight decay",
        help="Draws trained weights towards 0 a little.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        off=0.0,
    )
    clip: float = setting(
        1.0,
        label="Gradient clip",
        help="A longer gradient is shortened to this length. 0 turns it off.",
        minimum=0.0,
        maximum=1000.0,
        step=0.1,
        off=0.0,
    )
    validation_share: float = setting(
        0.1,
        label="Validation share",
        help="Share of the rows that are held out, to see whether what is learned holds for what was not seen.",
        minimum=0.0,
        maximum=0.9,
        step=0.01,
        off=0.0,
    )
    evaluate_every: int = setting(
        0,
        label="Evaluate every",
        help="Steps between evaluations, each with sample replies and a checkpoint. 0 leaves it to us: eight times a run, or every 250 steps.",
        unit="steps",
        minimum=0,
        off=0,
    )
    keep: Literal["best", "last"] = setting(
        "best", label="Keep", help="Which weights become the result: those with the lowest validation loss, or the last."
    )
    probe_tokens: int = setting(
        48, label="Sample length", help="Longest reply to a probe prompt.", unit="tokens", minimum=1, maximum=2048, step=1
    )
    seed: int = setting(42, label="Seed", help="The same seed gives the same run.", minimum=0, maximum=2**31 - 1)
    device: Literal["auto", "cpu"] = setting(
        "auto", label="Device", help="auto takes the graphics card where there is one; cpu the processor even then."
    )
    threads: int = setting(
        0,
        label="Threads",
        help="Processor threads. 0 takes as many as there are cores.",
        minimum=0,
        maximum=1024,
        step=1,
        off=0,
    )
    tensorboard: bool = setting(
        False,
        label="TensorBoard",
        help="Writes event files for TensorBoard into the run's folder (needs the package tensorboard).",
    )
    tracking: str = setting(
        "",
        label="Tracking",
        help="A place of MLflow that follows the run: a folder, or a URI such as sqlite:///runs.db or http://server:5000 "
        "(needs the package mlflow-skinny). Empty for none.",
    )

    def __post_init__(self) -> None:
        check(self)
        if not self.targets or any(not each.strip() for each in self.targets):
            raise SettingError("targets names no layer.", f"Write {LINEAR}, or names such as q_proj,v_proj.")
        if self.method != "qlora" and self.precision == "fp16" and self.device == "cpu":
            raise SettingError("precision fp16 needs a graphics card.", "Choose fp32, or bf16.")

    @property
    def group(self) -> int:
        """Rows in a step of the optimizer."""
        return self.batch * self.accumulation
