"""Chat templates: rendered as their authors meant, and bounded where their authors meant harm."""

from __future__ import annotations

import pytest

from playground.errors import TemplateError
from playground.protocol import ChatMessage
from playground.template import fold_system, render

SYSTEM, HELLO = ChatMessage("system", "Be brief."), ChatMessage("user", "Hello <b>")
CHATML = (
    "{%- for message in messages %}\n"
    "    {{- '<|im_start|>' + message['role'] + '\\n' + message.content + '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def test_chatml() -> None:
    assert render(CHATML, [SYSTEM, HELLO]) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello <b><|im_end|>\n<|im_start|>assistant\n"
    )


def test_without_a_template_there_is_a_plain_one() -> None:
    messages = [SYSTEM, HELLO, ChatMessage("assistant", "Hi."), ChatMessage("user", "Bye.")]
    assert render(None, messages) == "Be brief.\n\nUser: Hello <b>\nAssistant: Hi.\nUser: Bye.\nAssistant:"


def test_what_templates_use() -> None:
    source = (
        "{{ bos_token }}{% generation %}{{ messages | length }}{% endgeneration %}{% for n in range(9) %}{% if n == 3 %}{% break %}"
        "{% endif %}{{ n }}{% endfor %}{{ {'a': ['é', '<']} | tojson }}{{ strftime_now('%Y') | length }}{{ eos_token }}"
        "{% if tools %}no{% endif %}{% set ns = namespace(x=1) %}{% set ns.x = ns.x + 1 %}{{ ns.x }}{{ 'ab' * 2 }}"
    )
    assert render(source, [HELLO], bos="<s>", eos="</s>") == '<s>1012{"a": ["é", "<"]}4</s>2abab'


@pytest.mark.parametrize(
    "source",
    [
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "[{{ m.content }}]{% endfor %}",
        "{% for m in messages if m.role != 'system' %}[{{ m.content }}]{% endfor %}",
    ],
)
def test_a_template_without_system_messages_gets_them_in_the_first_user_message(source: str) -> None:
    assert render(source, [SYSTEM, HELLO]) == "[Be brief.\n\nHello <b>]"


def test_folding() -> None:
    assert fold_system([HELLO]) is None
    assert fold_system([SYSTEM]) is None
    assert fold_system([SYSTEM, ChatMessage("assistant", "x"), HELLO]) == [
        ChatMessage("assistant", "x"),
        ChatMessage("user", "Be brief.\n\nHello <b>"),
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ raise_exception('Roles must alternate') }}", "refuses this conversation: Roles must alternate."),
        ("{% for %}", "error in line 1"),
        ("{{ nothing.at.all }}", "cannot be rendered"),
        ("{{ 1 / 0 }}", "cannot be rendered"),
        ("{{ messages | no_such_filter }}", "error in line 1"),
        ("{% include 'secret' %}", "cannot be rendered"),
        # hostile ones
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "cannot be rendered"),
        ("{{ messages.append(1) }}", "cannot be rendered"),
        ("{% for a in range(10**9) %}{% endfor %}", "too much"),
        ("{{ 'x' * 10**9 }}", "too much"),
        ("{{ 10**(10**9) }}", "too much"),
        ("{{ '%1000000000d' % 1 }}", "too much"),
        (
            "{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "too much",
        ),
        ("{{ 'x'.center(10000000000) }}", "too much"),
        ("{% for a in range(99999) %}{% for b in range(999) %}xxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}", "too much"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "cannot be rendered"),
    ],
)
def test_what_goes_wrong_is_one_sentence(source: str, said: str) -> None:
    with pytest.raises(TemplateError, match="chat template") as refused:
        render(source, [HELLO], max_seconds=100)  # what is refused must not hang on how busy the machine is
    assert said in refused.value.message and refused.value.hint and "\n" not in refused.value.message


def test_a_template_without_an_end_is_stopped() -> None:
    endless = (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}"
    )
    with pytest.raises(TemplateError, match="does not come to an end"):
        render(endless, [HELLO], max_seconds=0.2)
