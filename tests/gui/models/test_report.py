"""The quality report: what is measured, how it is shown, and what becomes of it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from fake_workshop import quality
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QAbstractButton, QLineEdit, QTableView

from playground.gui.widgets.report_plot import Point, ReportPlot, loss_text
from playground.session.reports import Report
from tests.gui.models.conftest import Bench, row

SHAPE = {"layers": 6, "embedding": 256, "heads": 8, "vocabulary": 4096}
ROWS = (
    quality("one-F16", 11_300_000, 0.0),
    quality("one-Q8_0", 6_200_000, 0.0006),
    quality("one-Q4_0", 4_000_000, 0.045),
    quality("one-IQ4_XS", 3_800_000, 0.021),
)


@pytest.fixture
def opened(bench: Bench) -> Bench:
    """The part, opened from one of the versions."""
    bench.rows(
        row("one-F16", quantization="F16", size=11_300_000, **SHAPE),
        row("one-Q8_0", quantization="Q8_0", size=6_200_000, **SHAPE),
        row("one-Q4_0", quantization="Q4_0", size=4_000_000, **SHAPE),
        row("other", **(SHAPE | {"vocabulary": 5000})),
    )
    bench.page.library.select("/models/one-Q8_0.gguf")
    bench.find("report.open").click()
    return bench


def names(bench: Bench) -> list[str]:
    return [each.name for each in bench.page.making.report_panel.model.rows()]


def test_versions_of_a_model_are_held_against_the_one_in_most_bits(opened: Bench) -> None:
    form = opened.page.making.report_panel.form
    assert form.original_path() == "/models/one-F16.gguf"
    assert form.chosen() == ["/models/one-Q8_0.gguf", "/models/one-Q4_0.gguf"]
    assert form.types() == []
    items = [form.models.item(place) for place in range(form.models.count())]
    assert [each.text().split()[0] for each in items][2:] == ["Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"]
    items[2].setCheckState(Qt.CheckState.Checked)
    opened.find("report.keep").click()
    opened.find("report.chunks").setValue(8)
    opened.find("report.start").click()
    assert opened.workshop.requests == [
        (
            "report",
            "/models/one-F16.gguf",
            ("/models/one-Q8_0.gguf", "/models/one-Q4_0.gguf"),
            "",
            512,
            8,
            {"types": ("Q6_K",), "keep": True},
        )
    ]


def test_rows_come_in_while_it_measures_and_stay(opened: Bench) -> None:
    panel = opened.page.making.report_panel
    assert panel.state.isVisible()
    opened.find("report.start").click()
    opened.workshop.go_on("job0", fraction=0.3, step="Measuring: one-Q8_0", rows=ROWS[:2], seconds_left=20.0)
    assert names(opened) == ["one-F16", "one-Q8_0"]
    assert opened.find("report.progress").value() == 300
    opened.workshop.finish("job0", rows=ROWS)
    assert names(opened) == ["one-F16", "one-Q8_0", "one-Q4_0", "one-IQ4_XS"]
    assert {point.label: point.front for point in panel.plot.points()} == {"Q8_0": True, "Q4_0": False, "IQ4_XS": True}
    assert opened.find("report.start").text() == "Measure again"


def test_the_table_sorts_by_any_column_and_keeps_what_is_chosen(opened: Bench) -> None:
    from playground.gui.widgets.report_table import KL, PERPLEXITY, SIZE

    opened.find("report.start").click()
    opened.workshop.finish("job0", rows=ROWS)
    panel = opened.page.making.report_panel
    panel.table.choose(ROWS[2].path)
    panel.table.sortByColumn(KL, Qt.SortOrder.AscendingOrder)
    assert names(opened) == ["one-F16", "one-Q8_0", "one-IQ4_XS", "one-Q4_0"]
    assert panel.table.place() == 3
    panel.table.sortByColumn(SIZE, Qt.SortOrder.AscendingOrder)
    assert names(opened)[0] == "one-IQ4_XS"
    assert panel.model.index(0, PERPLEXITY).data().endswith("± 0.060")
    assert panel.model.index(0, KL).data(Qt.ItemDataRole.TextAlignmentRole) & Qt.AlignmentFlag.AlignRight


def test_a_click_on_a_point_selects_its_row_and_back(opened: Bench) -> None:
    opened.find("report.start").click()
    opened.workshop.finish("job0", rows=ROWS)
    panel = opened.page.making.report_panel
    at = panel.plot.place_of(ROWS[3].path).toPoint()
    opened.qtbot.mouseClick(panel.plot, Qt.MouseButton.LeftButton, pos=at + QPoint(2, 1))
    assert panel.model.row(panel.table.place()).path == ROWS[3].path
    assert opened.find("report.what").text() == "one-IQ4_XS"
    panel.table.selectRow(panel.model.place_of(ROWS[1].path))
    assert panel.plot.chosen() == ROWS[1].path
    opened.qtbot.keyClick(panel.plot, Qt.Key.Key_Left)
    assert panel.plot.chosen() == ROWS[2].path
    assert panel.model.row(panel.table.place()).path == ROWS[2].path


def test_what_was_made_for_the_measurement_only_can_be_made_to_stay(opened: Bench, tmp_path: Path) -> None:
    kept = quality("kept", 5_000_000, 0.002, path=str(tmp_path / "kept.gguf"))
    (tmp_path / "kept.gguf").write_bytes(b"GGUF")
    gone = quality("one-IQ2_M", 2_500_000, 0.3, path="one-IQ2_M.gguf")
    opened.find("report.start").click()
    opened.workshop.finish("job0", rows=(ROWS[0], kept, gone))
    panel = opened.page.making.report_panel
    panel.table.selectRow(panel.model.place_of(kept.path))
    assert opened.find("report.chat").isVisible()
    panel.table.selectRow(panel.model.place_of(gone.path))
    assert not opened.find("report.chat").isVisible()
    opened.find("report.make").click()
    quantize = opened.page.making.quantize_panel
    opened.qtbot.waitUntil(lambda: quantize.isVisible() and quantize.plan is not None)
    assert quantize.source == "/models/one-F16.gguf"
    assert [each.name for each in quantize.chosen()] == ["IQ2_M"]


def test_a_pasted_text_lies_in_a_file_while_it_is_read(opened: Bench) -> None:
    opened.find("report.text").setCurrentIndex(2)
    opened.find("report.text.pasted").setPlainText("Too short.")
    assert not opened.find("report.start").isEnabled()
    assert "more text" in opened.find("report.detail").text()
    text = "Ein längerer Text, Zeile für Zeile.\n" * 80
    opened.find("report.text.pasted").setPlainText(text)
    opened.find("report.start").click()
    assert Path(opened.workshop.requests[0][3]).read_text(encoding="utf-8") == text


def test_without_a_text_or_a_model_it_does_not_start(opened: Bench) -> None:
    opened.find("report.text").setCurrentIndex(1)
    assert not opened.find("report.start").isEnabled()
    opened.find("report.text.file").setText("/texts/mine.txt")
    assert opened.find("report.start").isEnabled()
    form = opened.page.making.report_panel.form
    for place in range(form.models.count()):
        form.models.item(place).setCheckState(Qt.CheckState.Unchecked)
    assert not opened.find("report.start").isEnabled()
    form.add_file("/elsewhere/made.gguf")
    assert opened.find("report.start").isEnabled()


def test_a_failure_keeps_what_was_there(opened: Bench) -> None:
    opened.find("report.start").click()
    opened.workshop.go_on("job0", rows=ROWS[:2])
    opened.workshop.fail("job0", "one-Q4_0.gguf has another vocabulary.", "Compare versions of one model.")
    assert opened.find("report.what").text() == "one-Q4_0.gguf has another vocabulary."
    assert names(opened) == ["one-F16", "one-Q8_0"]
    opened.find("report.again").click()
    assert opened.find("report.start").isVisible()


def test_an_earlier_report_opens_again(opened: Bench) -> None:
    opened.workshop.kept = [Report("r", 1_700_000_000.0, "my text", ROWS)]
    opened.find("report.close").click()
    opened.find("report.open").click()
    earlier = opened.find("report.earlier")
    opened.qtbot.waitUntil(lambda: earlier.count() == 2)
    assert "one-F16, 3 models" in earlier.itemText(1)
    earlier.activated.emit(1)
    assert names(opened) == [each.name for each in ROWS]
    assert opened.find("report.facts").text() == "one-F16  ·  on my text"


def test_table_and_picture_are_written(opened: Bench, tmp_path: Path) -> None:
    opened.find("report.start").click()
    opened.workshop.finish("job0", rows=ROWS)
    panel = opened.page.making.report_panel
    for ending in ("csv", "md", "png", "svg"):
        panel.save(str(tmp_path / f"out.{ending}"))
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(each["name"], float(each["kl_divergence"])) for each in rows] == [(r.name, r.kl_divergence) for r in ROWS]
    lines = (tmp_path / "out.md").read_text().splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert len({line.count("|") for line in lines}) == 1
    picture = QImage(str(tmp_path / "out.png"))
    assert picture.width() == 1920
    assert "Q4_0" in (tmp_path / "out.svg").read_text()
    panel.save(str(tmp_path / "nowhere" / "out.csv"))
    assert "cannot be written" in opened.notices[-1]
    panel._copy()
    assert QGuiApplication.clipboard().text().splitlines()[0].startswith("| Model |")


@pytest.mark.parametrize(
    "points",
    [
        [],
        [Point("a", "A", 1000, 0.0)],
        [Point("a", "A", 1000, 0.01, 0.02), Point("b", "B", 1000, 0.01)],
        [Point(str(i), f"Q{i}", 10**9 + i, 10.0**-i, 0.5, True) for i in range(9)],
    ],
    ids=["nothing", "no loss", "equal and uncertain", "nine decades"],
)
def test_the_picture_stands_whatever_was_measured(dressed, qtbot, points) -> None:
    plot = ReportPlot()
    qtbot.addWidget(plot)
    plot.resize(300, 200)
    plot.show_points(points, ("F16", 2 * 10**9) if points else ("", 0))
    plot.show()
    assert not plot.grab().isNull()
    for each in points:
        assert plot.rect().contains(plot.place_of(each.key).toPoint())
    assert [loss_text(value) for value in (0.0, 1e-9, 0.00001234, 0.01234, 1.5)] == ["0", "0", "1.2e-05", "0.0123", "1.5"]


def test_every_control_says_what_it_does(opened: Bench) -> None:
    for button in opened.page.making.report_panel.findChildren(QAbstractButton):
        if button.isVisible() and not isinstance(button.parent(), (QLineEdit, QTableView)):
            assert button.objectName(), button.text()
            assert button.accessibleName() or button.text(), button.objectName()
            assert button.toolTip(), button.objectName()
