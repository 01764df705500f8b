"""The controls of the fit panel: how a model would be loaded, and how it would be trained. They tell of a change and compute nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.amount_row import AmountRow
from playground.gui.widgets.glossary import Term
from playground.gui.widgets.value_slider import Travel
from playground.params import ContextSettings

if TYPE_CHECKING:
    from playground.memory.training_fit import TrainingPlan

KV_TYPES = ("f16", "q8_0", "q5_1", "q4_0", "bf16", "f32")
METHODS = {"LoRA": "lora", "QLoRA": "qlora", "Full": "full"}


class ChoiceField(QWidget):
    """A term that explains itself and a list to choose from, which has the object name."""

    changed = Signal()

    def __init__(self, name: str, title: str, help: str, items: tuple[str, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox(self)
        self.combo.addItems(items)
        self.combo.setObjectName(name)
        self.combo.setAccessibleName(title)
        self.combo.setToolTip(help)
        self.combo.setFixedWidth(88)
        theme.mark(self.combo, compact=True)
        self.combo.currentTextChanged.connect(lambda _text: self.changed.emit())
        term = Term(name.rpartition(".")[2], title, help, self)
        term.setBuddy(self.combo)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(term)
        row.addStretch(1)
        row.addWidget(self.combo)

    def text(self) -> str:
        return self.combo.currentText()


class _Rows(QWidget):
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)

    def _add(self, *rows: QWidget) -> None:
        for row in rows:
            self._column.addWidget(row)
            if isinstance(row, (AmountRow, ChoiceField)):
                row.changed.connect(lambda *_: self.changed.emit())
        self._column.addStretch(1)


class RunRows(_Rows):
    """`settings(base)` is what they say; `set_model` fits their ranges to a model."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.context = AmountRow(
            f"{name}.context",
            "Context window",
            "How many tokens the model can look back on; the cache of keys and values grows with it.",
            Travel(256, 4096, 256, log=True),
            4096,
            parent=self,
        )
        self.kv_type = ChoiceField(
            f"{name}.kv_type", "KV cache type", "The number format of cached keys and values.", KV_TYPES, self
        )
        self.gpu_layers = AmountRow(
            f"{name}.gpu_layers",
            "GPU layers",
            "How many layers run on the GPU, the others on the processor. Auto takes as many as fit.",
            Travel(-1, 1, 1),
            -1,
            {-1: "auto"},
            self,
        )
        self.sequences = AmountRow(
            f"{name}.sequences",
            "Sequences",
            "How many replies can be decoded at the same time; they share the context window.",
            Travel(1, 64, 1, log=True),
            ContextSettings().sequences,
            parent=self,
        )
        self._add(self.context, self.kv_type, self.gpu_layers, self.sequences)

    def set_model(self, longest: int, layers: int, context: int, gguf: bool) -> None:
        """A model that was trained for `longest` tokens, of so many layers (the output counted)."""
        self.context.set_travel(Travel(256, longest, 256, log=True), context)
        self.gpu_layers.set_travel(Travel(-1, layers, 1), min(self.gpu_layers.value(), layers))
        self.kv_type.setEnabled(gguf)

    def settings(self, base: ContextSettings) -> ContextSettings:
        kind: Any = self.kv_type.text()
        return replace(
            base,
            context=self.context.value(),
            kv_type_k=kind,
            kv_type_v=kind,
            gpu_layers=self.gpu_layers.value(),
            sequences=self.sequences.value(),
        )


class TrainRows(_Rows):
    """`plan()` is what they say."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.method = ChoiceField(
            f"{name}.method",
            "Method",
            "LoRA trains a small adapter, QLoRA the same on a 4-bit model, Full every weight.",
            tuple(METHODS),
            self,
        )
        self.batch = AmountRow(
            f"{name}.batch",
            "Batch",
            "How many examples go through the model at once.",
            Travel(1, 64, 1, log=True),
            1,
            parent=self,
        )
        self.sequence = AmountRow(
            f"{name}.sequence", "Sequence length", "Tokens of one example.", Travel(64, 8192, 64, log=True), 512, parent=self
        )
        self.rank = AmountRow(
            f"{name}.rank",
            "Rank",
            "The width of the adapter: more can learn more, and takes more.",
            Travel(1, 256, 1, log=True),
            16,
            parent=self,
        )
        self.checkpointing = QCheckBox("Gradient checkpointing", self)
        self.checkpointing.setObjectName(f"{name}.checkpointing")
        self.checkpointing.setToolTip(
            "Computes activations again instead of keeping them: less memory, about a third more time"
        )
        self.checkpointing.toggled.connect(lambda _on: self.changed.emit())
        self.devices = AmountRow(
            f"{name}.devices",
            "Devices",
            "How many devices like this one the run could be shared over: what each would hold is listed below.",
            Travel(1, 64, 1, log=True),
            1,
            parent=self,
        )
        self._add(self.method, self.batch, self.sequence, self.rank, self.checkpointing, self.devices)
        self.method.changed.connect(lambda: self.rank.setEnabled(self.method.text() != "Full"))

    def set_model(self, longest: int) -> None:
        """A model that was trained for `longest` tokens."""
        most = max(128, min(longest, 32768))
        self.sequence.set_travel(Travel(64, most, 64, log=True), min(self.sequence.value(), most))

    def plan(self) -> TrainingPlan:
        from playground.memory.training_fit import TrainingPlan  # it comes with the first model, not with the page

        method: Any = METHODS[self.method.text()]
        return TrainingPlan(
            method=method,
            batch=self.batch.value(),
            sequence=self.sequence.value(),
            rank=self.rank.value(),
            checkpointing=self.checkpointing.isChecked(),
        )
