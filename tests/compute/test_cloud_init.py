"""The seed: what the guest is told at first boot."""

import email

import pytest
import yaml

from yun.base.errors import Invalid
from yun.compute.cloud_init import (
    USER_DATA_BYTES,
    Guest,
    GuestNic,
    check_password,
    check_user_data,
    hash_password,
    network_config,
    seed_files,
    user_data,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "x" * 60 + " 张三@电脑"


def guest(**values) -> Guest:
    return Guest(**{"instance_id": "ins_1", "hostname": "web", **values})


def config_of(data: bytes) -> dict:
    assert data.startswith(b"#cloud-config\n")
    return yaml.safe_load(data)


def test_without_user_data_the_seed_tells_hostname_keys_and_password():
    config = config_of(user_data(guest(ssh_keys=(KEY,), password_hash="$6$salt$hash")))
    assert config["hostname"] == "web"
    assert config["ssh_authorized_keys"] == [KEY]
    assert config["password"] == "$6$salt$hash"
    assert config["chpasswd"] == {"expire": False}
    assert config["ssh_pwauth"] is True


def test_a_long_key_stays_on_one_line():
    assert ("- " + KEY).encode() in user_data(guest(ssh_keys=(KEY,)))


def test_without_a_password_nothing_is_said_of_passwords():
    config = config_of(user_data(guest()))
    assert "password" not in config
    assert "ssh_pwauth" not in config


def test_the_persons_cloud_config_is_joined_and_wins_where_both_speak():
    theirs = (
        "#cloud-config\nhostname: other\npackages: [nginx]\nssh_authorized_keys:\n- ssh-rsa THEIRS\n"
        "runcmd:\n- echo \"你好 $HOME & <b>'\"\n"
    )
    config = config_of(user_data(guest(user_data=theirs, ssh_keys=(KEY,))))
    assert config["hostname"] == "other"
    assert config["packages"] == ["nginx"]
    assert config["ssh_authorized_keys"] == ["ssh-rsa THEIRS", KEY]
    assert config["runcmd"] == ["echo \"你好 $HOME & <b>'\""]


def test_users_of_the_person_do_not_displace_the_user_with_the_asked_key():
    theirs = "#cloud-config\nusers:\n- name: bob\n"
    config = config_of(user_data(guest(user_data=theirs, ssh_keys=(KEY,))))
    assert config["users"] == ["default", {"name": "bob"}]
    assert config_of(user_data(guest(user_data=theirs)))["users"] == [{"name": "bob"}]


def test_a_script_travels_beside_our_part_and_chinese_survives():
    script = "#!/bin/sh\necho '云主机 & <b> $(id)'\n"
    data = user_data(guest(user_data=script, ssh_keys=(KEY,)))
    message = email.message_from_bytes(data)
    assert message.is_multipart()
    ours, theirs = message.get_payload()
    assert ours.get_content_type() == "text/cloud-config"
    assert yaml.safe_load(ours.get_payload(decode=True))["ssh_authorized_keys"] == [KEY]
    assert theirs.get_content_type() == "text/x-shellscript"
    assert theirs.get_payload(decode=True).decode() == script
    assert b"mime-version:" in data[:4096].lower()


def test_an_ascii_key_stays_readable_in_a_mime_message():
    data = user_data(guest(user_data="#!/bin/sh\ntrue\n", ssh_keys=("ssh-ed25519 AAAA me",)))
    assert b"- ssh-ed25519 AAAA me" in data


def test_the_parts_of_a_persons_mime_message_are_kept():
    theirs = (
        'Content-Type: multipart/mixed; boundary="==B=="\nMIME-Version: 1.0\n\n--==B==\n'
        "Content-Type: text/x-shellscript\n\n#!/bin/sh\necho a\n--==B==\n"
        "Content-Type: text/cloud-config\n\n#cloud-config\npackages: [vim]\n--==B==--\n"
    )
    check_user_data(theirs)
    parts = email.message_from_bytes(user_data(guest(user_data=theirs))).get_payload()
    assert [p.get_content_type() for p in parts] == ["text/cloud-config", "text/x-shellscript", "text/cloud-config"]


@pytest.mark.parametrize(
    "text",
    ["", "  \n", "#cloud-config", "#cloud-config\n", "#cloud-config\na: 1\n", "#!/bin/sh\n", "#include\nhttp://x/\n",
     "## template: jinja\n#cloud-config\na: {{ v1 }}\n", "#cloud-boothook\n", "#cloud-config-archive\n- a\n"],
)  # fmt: skip
def test_every_kind_that_cloud_init_knows_is_accepted_and_builds_a_seed(text):
    assert check_user_data(text) == text
    assert user_data(guest(user_data=text, ssh_keys=(KEY,)))


@pytest.mark.parametrize(
    "text",
    ["hello", "#cloud-config\n- a\n", "#cloud-config\n{", "#cloud-config\n\tx: 1", "#!/bin/sh\n\0", "\ud800",
     "#cloud-config\nssh_authorized_keys: abc\n", "#cloud-configx\n", "#cloud-config\na: !!python/object:os.x {}\n",
     "#cloud-config\n" + "[" * 5000],
)  # fmt: skip
def test_user_data_that_would_be_ignored_or_break_is_refused(text):
    with pytest.raises(Invalid) as caught:
        check_user_data(text)
    assert "user_data" in caught.value.fields


def test_user_data_of_a_megabyte_is_refused_with_the_limit():
    with pytest.raises(Invalid) as caught:
        check_user_data("#!/bin/sh\n" + "x" * 1_000_000)
    assert "64 KiB" in caught.value.message.render()
    assert check_user_data("#!/bin/sh\n" + "x" * (USER_DATA_BYTES - 10))


def test_a_password_is_kept_as_a_hash_that_holds_for_it_alone():
    from passlib.hash import sha512_crypt

    hashed = hash_password("密码 s3cret $x")
    assert hashed.startswith("$6$")
    assert "s3cret" not in hashed
    assert sha512_crypt.verify("密码 s3cret $x", hashed)
    assert not sha512_crypt.verify("other pass", hashed)


@pytest.mark.parametrize("password", ["", "short", "x" * 257, "two\nlines", "a\0bcdefg"])
def test_a_bad_password_is_refused_and_not_repeated(password):
    with pytest.raises(Invalid) as caught:
        check_password(password)
    assert not password or password not in str(caught.value.to_json())


def test_cards_are_found_by_mac_and_configured_by_dhcp_or_by_address():
    config = network_config(
        (
            GuestNic("fa:16:3e:00:00:01"),
            GuestNic("fa:16:3e:00:00:02", False, "10.0.0.5/24", "10.0.0.1", ("9.9.9.9",)),
        )
    )
    assert config["version"] == 2
    assert config["ethernets"]["eth0"] == {
        "match": {"macaddress": "fa:16:3e:00:00:01"}, "set-name": "eth0", "dhcp4": True,
    }  # fmt: skip
    assert config["ethernets"]["eth1"]["addresses"] == ["10.0.0.5/24"]
    assert config["ethernets"]["eth1"]["gateway4"] == "10.0.0.1"
    assert config["ethernets"]["eth1"]["nameservers"] == {"addresses": ["9.9.9.9"]}


def test_the_seed_has_its_three_files_and_is_always_the_same():
    one = guest(user_data="#!/bin/sh\n云", nics=(GuestNic("fa:16:3e:00:00:01"),))
    files = seed_files(one)
    assert set(files) == {"meta-data", "user-data", "network-config"}
    assert files == seed_files(one)
    assert yaml.safe_load(files["meta-data"]) == {"instance-id": "ins_1", "local-hostname": "web"}
