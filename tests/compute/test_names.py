"""Names, host names and tags."""

import pytest

from yun.base.errors import Invalid
from yun.base.ids import new_id
from yun.base.tags import check_tags
from yun.compute.names import check_description, check_hostname, check_name, hostname_for
from yun.identity import names
from yun.images import checks
from yun.network import checks as network


@pytest.mark.parametrize("name", ["web", "网站服务器 1 号", "a; rm -rf $HOME", "<b>&\"'", "été", "x" * 100, "👩‍💻 lab"])
def test_a_name_of_any_script_and_punctuation_is_kept(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "   ", "a/b", "a\\b", "x" * 101, "x" * 300, "a\nb", "a\0b", "a\u202eb", "\ud800"])
def test_a_bad_name_is_refused_with_its_field(name):
    with pytest.raises(Invalid) as caught:
        check_name(name)
    assert "name" in caught.value.fields


@pytest.mark.parametrize("check", [check_name, checks.check_name, network.name, names.plain])
@pytest.mark.parametrize("name", ["-rf", "--help", "-", "  -x"])
def test_no_name_is_one_that_commands_take_for_an_option(check, name):
    assert check("a-b-")
    with pytest.raises(Invalid) as caught:
        check(name)
    assert "hyphen" in caught.value.message.render("en")
    assert list(caught.value.fields) == ["name"]


def test_what_is_no_name_may_begin_with_a_hyphen():
    assert names.plain("- a list", "description", empty=True) == "- a list"


def test_a_name_that_looks_like_an_id_is_refused():
    with pytest.raises(Invalid):
        check_name(new_id("ins"))


def test_two_ways_to_write_the_same_letter_are_one_name():
    assert check_name("e\u0301") == "\u00e9"


@pytest.mark.parametrize(
    ("name", "hostname"),
    [("Web Server_1", "web-server-1"), ("été", "ete"), ("网站 web", "web"), ("x" * 100, "x" * 63), ("--a--", "a")],
)
def test_a_host_name_follows_from_the_name(name, hostname):
    assert hostname_for(name, new_id("ins")) == hostname


def test_a_name_without_latin_letters_gives_a_host_name_of_the_id():
    identifier = new_id("ins")
    hostname = hostname_for("数据库", identifier)
    assert hostname == "vm-" + identifier[-8:]
    assert check_hostname(hostname) == hostname


@pytest.mark.parametrize("hostname", ["", "-a", "a-", "a.b", "a_b", "数据", "x" * 64, "a b", "a\n"[:1] + "\nb"])
def test_a_bad_host_name_is_refused(hostname):
    with pytest.raises(Invalid) as caught:
        check_hostname(hostname)
    assert "hostname" in caught.value.fields


def test_tags_are_kept_once_and_in_order():
    assert check_tags(["web", " db ", "web", "生产"]) == ["web", "db", "生产"]


@pytest.mark.parametrize("tags", [["a b"], ["a:b"], [""], ["x" * 41], [str(n) for n in range(21)], ["-a"], ["a\"b"]])
def test_bad_tags_are_refused(tags):
    with pytest.raises(Invalid):
        check_tags(tags)


def test_a_long_description_is_refused_and_line_breaks_are_kept():
    assert check_description("a\nb ") == "a\nb"
    with pytest.raises(Invalid):
        check_description("x" * 1001)
    with pytest.raises(Invalid):
        check_description("a\x07")
