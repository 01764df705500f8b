"""A model is made of a model in the real window, by object names: quantized by a real worker, and talked to."""

from __future__ import annotations

from tests.e2e.conftest import Driver


def test_the_starter_is_quantized_and_the_result_talks(driver: Driver) -> None:
    driver.window.open("models")
    page = driver.window.pages["models"]
    driver.until(lambda: page.library.model.rowCount() > 0 and page.library.complete)
    starter = next(row for row in page.library.model.rows() if row.place == "starter" and row.kind == "gguf")
    page.library.select(starter.path)
    driver.click("quantize.open")
    driver.until(lambda: page.making.quantize_panel.plan is not None)
    driver.find("quantize.all").click()
    page.making.quantize_panel.types.choose("Q4_0")
    driver.until(lambda: driver.find("quantize.start").isEnabled())
    driver.click("quantize.start")
    driver.until(lambda: page.making.quantize_panel.foot.state in ("done", "failed"))
    assert page.making.quantize_panel.foot.state == "done", driver.find("quantize.what").text()
    made = driver.home.models / "starter-Q4_0.gguf"
    assert made.stat().st_size < 0.5 * starter.size
    driver.click("quantize.chat")
    driver.until(lambda: driver.window.session.model.state == "ready" and driver.window.session.model.path == str(made))
    assert driver.window.page == "chat"
    driver.find("sampling.temperature").setValue(0)
    driver.say("Repeat: red green blue")
    driver.until(lambda: driver.rows("SELECT 1 FROM generations WHERE state = 'end'"))
    driver.until(lambda: "red green blue" in driver.shown().rpartition("Repeat: red green blue")[2])
    driver.window.open("models")
    driver.until(lambda: "starter-Q4_0" in [row.name for row in page.library.model.rows()])
