"""Every text a person reads has its Chinese, which uses the same parameters, stands with its room, and is Chinese."""

from __future__ import annotations

import re
import string

import pytest
from babel.messages.pofile import read_po

from tests.house.source import texts
from yun.base.messages import PACKAGE, Message, po_files

CJK = re.compile(r"[\u4e00-\u9fff]")
SAME = re.compile(
    r"^[\W\d_]*$|^(ID|MAC|IP|CPU|vCPU|URL|API|SSH|VNC|MiB|GiB|KVM|TCG|Yun|DHCP|DNS|MTU|CIDR|Token|UUID)s?$"
)


def parameters(text: str) -> set[str]:
    """The names a format string asks for; ``%(name)s`` of templates too."""
    named = {name for _t, name, _f, _c in string.Formatter().parse(text) if name} if "{" in text else set()
    return {re.split(r"[.\[]", n)[0] for n in named} | set(re.findall(r"%\((\w+)\)", text))


def entries() -> list[tuple[str, str, str]]:
    """(room, English, Chinese) of all catalogues."""
    found = []
    for path in po_files():
        with path.open("rb") as file:
            for entry in read_po(file, locale="zh"):
                if entry.id:
                    found.append((str(path.parent.relative_to(PACKAGE)), str(entry.id), str(entry.string)))
    return found


def test_no_message_lacks_its_chinese() -> None:
    chinese = {english for _room, english, translation in entries() if translation}
    missing = sorted({
        f"{where}:{line}: {text}" for text, where, line in texts()
        if text not in chinese and not SAME.match(text)
    })  # fmt: skip
    assert not missing, "without Chinese:\n" + "\n".join(missing)


def test_translations_use_the_parameters_of_their_source() -> None:
    wrong = [f"{room}: {en} -> {zh}" for room, en, zh in entries() if zh and parameters(en) != parameters(zh)]
    assert not wrong, "\n".join(wrong)


def test_a_room_keeps_no_chinese_for_texts_it_no_longer_has() -> None:
    used = {text for text, _where, _line in texts()}
    stale = [f"{room}: {en}" for room, en, _zh in entries() if en not in used and not is_word(en)]
    assert not stale, "no longer used:\n" + "\n".join(stale)


def is_word(text: str) -> bool:
    """A state, kind or noun that is translated by value (`_(row.state)`)."""
    return re.fullmatch(r"[a-z][a-z0-9_.\- ]*", text) is not None


def test_one_english_text_has_one_chinese() -> None:
    seen: dict[str, tuple[str, str]] = {}
    for room, english, chinese in entries():
        first = seen.setdefault(english, (room, chinese))
        assert first[1] == chinese, f"{english!r}: {first[0]} says {first[1]}, {room} says {chinese}"


@pytest.mark.parametrize("mark", [",", ";", "!", "?", ":"])
def test_chinese_uses_full_width_punctuation(mark: str) -> None:
    wrong = [
        f"{room}: {zh}" for room, _en, zh in entries()
        if re.search(rf"[\u4e00-\u9fff]{re.escape(mark)}|{re.escape(mark)}[\u4e00-\u9fff]", zh)
    ]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_chinese_puts_a_space_between_chinese_and_latin() -> None:
    wrong = [
        f"{room}: {zh}" for room, _en, zh in entries()
        if re.search(r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", zh)
    ]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_chinese_is_set_with_spaces_where_two_scripts_meet_whatever_is_filled_in() -> None:
    assert Message("{title} cannot be {value}.", {"title": "vCPU", "value": "9"}).render("zh") == "vCPU 不能为 9。"
    word = Message("running")
    text = Message("The volume {name} is {state}; this is not possible now.", {"name": "网站", "state": word})
    assert text.render("zh") == "云硬盘 网站 的状态为“运行中”，当前无法执行此操作。"
    assert Message("Stop instance {name}", {"name": "web"}).render("zh") == "停止云主机 web"


def test_a_number_chooses_its_words() -> None:
    text = "{count} {count:port loses its|ports lose their} address."
    assert Message(text, {"count": 1}).render("en") == "1 port loses its address."
    assert Message(text, {"count": 2}).render("en") == "2 ports lose their address."
    assert Message.from_json(Message(text, {"count": 0}).to_json()).render("en") == "0 ports lose their address."
