"""The few looks that only the Chat page has, as a style sheet in the colours of the theme."""

from __future__ import annotations

from playground.gui import theme


def sheet() -> str:
    """For the page, the transcript and whatever lies in them; to be set anew when the theme changes."""
    colors = theme.palette()
    small = theme.pixels("small")
    return f"""
    QToolButton[role="small"] {{ font-size: {small}px; padding: 2px 6px; }}
    QToolButton[role="link"] {{ font-size: {small}px; font-weight: 600; color: {colors.accent}; padding: 2px 6px; }}
    QToolButton[role="link"]:hover {{ background: {colors.accent_soft}; color: {colors.accent}; }}
    QToolButton[role="link"]:disabled {{ color: {colors.faint}; }}
    QToolButton[role="floating"] {{
        font-size: {small}px; font-weight: 500; color: {colors.text}; background: {colors.raised};
        border: 1px solid {colors.line}; border-radius: 14px; padding: 4px 12px 4px 8px;
    }}
    QToolButton[role="floating"]:hover {{ background: {colors.hover}; }}
    QToolButton[role="floating"]:focus {{ border-color: {colors.accent}; }}
    QScrollBar::handle:vertical:disabled {{ background: transparent; }}
    QPlainTextEdit[role="bare"] {{ background: transparent; border: none; padding: 0; }}
    QFrame[role="composer"] {{ background: {colors.raised}; border: 1px solid {colors.line}; border-radius: 12px; }}
    QFrame[role="composer"][focused="true"] {{ border-color: {colors.accent}; }}
    QPushButton[role="stop"] {{ background: {colors.hover}; border-color: {colors.hover}; padding: 0 8px; }}
    QPushButton[role="stop"]:hover {{ background: {colors.pressed}; }}
    QPushButton[role="stop"]:focus {{ border-color: {colors.accent}; }}
    QLineEdit[role="bare"] {{ background: transparent; border: none; padding: 0; }}
    QPushButton[role="example"] {{
        background: {colors.raised}; border: 1px solid {colors.line}; border-radius: 10px; padding: 3px 14px; text-align: left; font-weight: 400;
    }}
    QPushButton[role="example"]:hover {{ background: {colors.hover}; }}
    QPushButton[role="example"]:focus {{ border-color: {colors.accent}; }}
    """
