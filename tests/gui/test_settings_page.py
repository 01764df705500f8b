"""The settings page changes what it says, at once."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget

from playground.gui import theme
from playground.gui.pages.settings import SettingsPage


@pytest.fixture
def page(window) -> SettingsPage:
    window.open("settings")
    return window.pages["settings"]


def test_theme_and_text_size(page, window) -> None:
    page.findChild(QAbstractButton, "settings.theme.dark").click()
    assert theme.palette().dark
    assert window.preferences.get("theme") == "dark"
    window.toggle_theme()
    assert not theme.palette().dark
    assert page.findChild(QAbstractButton, "settings.theme.light").isChecked()
    page.findChild(QAbstractButton, "settings.text_size.large").click()
    assert theme.pixels("body") == 16
    page.findChild(QAbstractButton, "settings.text_size.normal").click()
    assert theme.pixels("body") == 14


def test_load_settings_are_kept(page, window) -> None:
    page.findChild(QWidget, "settings.load.context").setValue(8192)
    assert window.preferences.context.context == 8192
    assert window.preferences.context_for("/any.gguf").context == 8192


def test_it_says_where_the_data_lies_and_what_it_is_made_of(page, window) -> None:
    assert page.findChild(QLabel, "settings.folder").text() == str(window.home.root)
    versions = page.findChild(QLabel, "settings.versions").text()
    assert "Playground" in versions
    assert "PySide6-Essentials" in versions
    window.open_about()
