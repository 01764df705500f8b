"""Will it fit? Sliders, one stacked bar per device that follows them, the verdict in a sentence, and what each figure rests on.

Asks `fits` (the session's `Fits`) off the window's thread, the newest question only, and shows the last answer until the next is there.
Knows a subject to estimate, not where it came from. Object names begin with the panel's own (`models.fit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.bridge import when_done
from playground.gui.widgets.amounts import amount
from playground.gui.widgets.fit_bar import FitBar
from playground.gui.widgets.fit_layout import FitLayout
from playground.gui.widgets.fit_rows import TrainRows
from playground.params import ContextSettings

if TYPE_CHECKING:
    from playground.memory.training_fit import TrainingFit, TrainingPlan


class FitPanel(FitLayout, QWidget):
    """`show_subject` sets what is estimated, `show_message` says why there is nothing; `settings()` and `plan()` are what the sliders say."""

    def __init__(self, fits: Any, name: str = "models.fit", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._fits, self._name = fits, name
        self._subject: Any = None
        self._held: Mapping[str, int] = {}
        self._path = ""
        self._base = ContextSettings()
        self._asked = self._shown = 0
        self._has_gpu = False
        self._train: TrainRows | None = None
        self._longest = 8192
        self._bars: list[FitBar] = []
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(150)
        self._later.timeout.connect(self._ask_largest)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._stack = QStackedWidget(self)
        column.addWidget(self._stack)
        self._message = QLabel(self._stack)
        self._message.setWordWrap(True)
        self._message.setAlignment(Qt.AlignmentFlag.AlignTop)
        theme.mark(self._message, role="muted")
        self._stack.addWidget(self._message)
        self.show_message("")

    def prepare(self) -> bool:
        """Makes a few of the controls before there is a model to estimate; whether there are more to make."""
        return self.make_next()

    def prepare_training(self) -> None:
        """The same for the controls of training."""
        _ = self.train

    def _build(self) -> None:
        """The controls come with the first model to estimate: a panel that only says a sentence is there at once."""
        while self.make_next():
            pass

    # -- what is shown

    def show_message(self, text: str) -> None:
        """Says why there is no estimate (being read, damaged, nothing chosen)."""
        self._subject = None
        self._asked += 1
        self._message.setText(text)
        self._stack.setCurrentIndex(0)

    def show_subject(self, subject: Any, held: Mapping[str, int] | None = None, path: str = "") -> None:
        """Another model to estimate (`fitting.Subject`); `held` is what the loaded one gives back, by device; `path` of a file here."""
        from playground.session.verdicts import usual  # the arithmetic comes with the first model, not with the page

        self._build()
        self._subject, self._held, self._path = subject, held or {}, path if subject.format == "gguf" else ""
        self.largest.setText(" ")
        self.take_largest.hide()
        shape = subject.shape
        self._base = usual(shape)
        longest = max(512, shape.context_train or 32768)
        longest += -longest % 256
        self.run.set_model(longest, len(shape.layers) + 1, self._base.context, subject.format == "gguf")
        self._longest = longest
        if self._train is not None:
            self._train.set_model(longest)
        self._ask()

    def set_fits(self, fits: Any) -> None:
        """Who is asked."""
        self._fits = fits

    def set_held(self, held: Mapping[str, int]) -> None:
        """Another model is loaded now, or none."""
        if dict(held) != dict(self._held):
            self._held = held
            self._ask()

    def show_measured(self, row: Any) -> None:
        """What the loaded model was predicted to take, and took (`FitRow`); None for nothing."""
        visible = row is not None and bool(row.measured)
        if not visible and not self._made:
            return
        self._build()
        self.measured.setVisible(visible)
        self.measured_terms.setVisible(visible)
        if visible:
            predicted, measured = _summed(row.predicted), _summed(row.measured)
            window = row.context.get("context", 0)
            self.measured.setText(f"Loaded now with a context of {window:,} tokens: predicted, and as the engine reports it.")
            known = {name: nbytes for name, nbytes in predicted.items() if nbytes or measured.get(name)}
            self.measured_terms.show_terms(known, {}, measured)

    def settings(self) -> ContextSettings:
        """How the model would be loaded."""
        return self.run.settings(self._base)

    def plan(self) -> TrainingPlan:
        """How it would be trained."""
        return self.train.plan()

    @property
    def train(self) -> TrainRows:
        """The controls of training, made when they are first wanted."""
        if self._train is None:
            self._build()
            self._train = TrainRows(self._name, self._sliders)
            self._train.set_model(self._longest)
            self._train.changed.connect(self._ask)
            self._sliders.addWidget(self._train)
        return self._train

    @property
    def training(self) -> bool:
        return self._modes.checkedId() == 1

    def subject(self) -> Any:
        return self._subject

    # -- asking

    def _set_mode(self, place: int) -> None:
        self._show_rows(place)
        self._ask()

    def _show_rows(self, place: int) -> None:
        pages = (self.run, self.train)
        self._sliders.setCurrentWidget(pages[place])
        for page in pages:  # the stack is as high as the page that is shown
            policy = page.sizePolicy()
            policy.setVerticalPolicy(policy.Policy.Preferred if page is pages[place] else policy.Policy.Ignored)
            page.setSizePolicy(policy)

    def _ask(self, *_: Any) -> None:
        if self._subject is None or self._fits is None:
            return
        self._asked += 1
        number, training, subject = self._asked, self.training, self._subject
        self.engine.offer(bool(self._path) and not training)
        if training:
            answer = self._fits.training(self._subject, self.plan(), self._held)
        else:
            answer = self._fits.fit(self._subject, self.settings(), self._held)

        def take(found: Any) -> None:
            if number > self._shown and training == self.training and subject is self._subject:
                self._shown = number
                self._show_fit(found, training)

        when_done(answer, self, take, lambda error: self._fail(number, error))
        self._later.start()

    def _fail(self, number: int, error: BaseException) -> None:
        if number == self._asked:
            self.why.setText(
                f"{getattr(error, 'message', '') or 'This cannot be estimated.'} {getattr(error, 'hint', '')}".strip()
            )
            self.chip.show_verdict("", self.why.text())
            self._stack.setCurrentIndex(1)

    def _ask_engine(self) -> None:
        """The engine's own count, for the settings as they stand."""
        number, ours = self._asked, self.terms.terms()

        def take(counted: Any) -> None:
            if number == self._asked:
                self.engine.show_counted(ours, counted.terms)

        def fail(error: BaseException) -> None:
            if number == self._asked:
                self.engine.say(
                    f"{getattr(error, 'message', '') or 'The engine gave no figures.'} {getattr(error, 'hint', '')}".strip()
                )

        self.engine.say("The engine is counting…")
        when_done(self._fits.dry_run(self._path, self.settings()), self, take, fail)

    def _ask_largest(self) -> None:
        if self.training or self._subject is None:
            return
        number = self._asked

        def take(tokens: int) -> None:
            if number == self._asked and not self.training:
                self.largest.setText(
                    f"Largest context that fits: {tokens:,} tokens." if tokens else "Not even the shortest context fits."
                )
                self.largest.setProperty("tokens", tokens)
                self.take_largest.setVisible(bool(tokens) and tokens != self.run.context.value())

        if self._subject.format != "gguf":
            self.largest.setText("The cache grows as text is written.")
            self.take_largest.hide()
            return
        when_done(self._fits.largest(self._subject, self.settings(), self._held), self, take, lambda error: None)

    def _take_largest(self) -> None:
        tokens = self.largest.property("tokens")
        if tokens:
            self.run.context.set_value(tokens)
            self.run.context.slider.setFocus()
            self._ask()

    def _show_fit(self, found: Any, training: bool) -> None:
        self.chip.show_verdict(found.verdict, found.why)
        self.why.setText(found.why)
        if training:
            devices = [(found.device, found.terms)]
            total = found.terms.to_dict()
        else:
            devices = [(one.device, one.terms) for one in found.devices]
            total = found.terms.to_dict()
        while len(self._bars) < len(devices):
            bar = FitBar(self._holder)
            bar.setObjectName(f"{self._name}.bar.{len(self._bars)}")
            self._bars.append(bar)
            self._devices.addWidget(bar)
        for place, bar in enumerate(self._bars):
            bar.setVisible(place < len(devices))
            if place < len(devices):
                device, terms = devices[place]
                bar.show_device(device.name, device.label, terms.to_dict(), device.free, device.total, found.basis)
        self._has_gpu = any(device.is_gpu for device, _ in devices) or (self._has_gpu and training)
        self.run.gpu_layers.setVisible(self._has_gpu and self._subject.format == "gguf")
        self.terms.show_terms(total, found.basis)
        self._show_sharing(found if training else None)
        if training:
            self.largest.setText(f"{found.trained_parameters:,} parameters are trained.")
            self.take_largest.hide()
        thumb = 0 if training else found.rule_of_thumb
        self.thumb.setText(f"By the rule of thumb: {amount(thumb)}." if thumb else " ")
        self._stack.setCurrentIndex(1)

    def _show_sharing(self, found: TrainingFit | None) -> None:
        """A plan for a run that one device is too small for, or for as many devices as were asked about."""
        wanted = self.train.devices.value() if found is not None else 1
        visible = found is not None and (wanted > 1 or found.verdict == "does not fit")
        if found is not None and visible:
            from playground.memory.training_fit import enough_devices, sharding_plan

            shape, free = self._subject.shape, found.device.free
            enough = enough_devices(shape, found.plan, free)
            devices = wanted if wanted > 1 else max(2, min((each for each in enough.values() if each), default=2))
            ways = sharding_plan(shape, found.plan, devices)
            self.sharing.show_ways({way: terms.total for way, terms in ways.items()}, enough, devices, free)
        self.sharing.setVisible(visible)

    # -- tables for learners

    def open_formats(self, below: QWidget) -> QFrame:
        from playground.gui.widgets.number_formats import NumberFormats

        return _pop(NumberFormats(self), below)

    def open_planner(self, below: QWidget) -> QFrame:
        from playground.gui.widgets.compute_planner import ComputePlanner

        parameters = getattr(getattr(self._subject, "shape", None), "parameters", 0) or 1e9
        return _pop(ComputePlanner(parameters, self), below)


def _pop(card: QFrame, below: QWidget) -> QFrame:
    card.adjustSize()
    place = below.mapToGlobal(QPoint(0, below.height() + 4))
    screen = below.screen().availableGeometry()
    if place.y() + card.height() > screen.bottom():
        place.setY(max(screen.top() + 8, below.mapToGlobal(QPoint(0, -card.height() - 4)).y()))
    place.setX(max(screen.left() + 8, min(place.x(), screen.right() - card.width() - 8)))
    card.move(place)
    card.show()
    return card


def _summed(by_device: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for terms in by_device.values():
        for name, nbytes in terms.items():
            found[name] = found.get(name, 0) + nbytes
    return found
