"""Which public keys are kept and which are not."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from yun.base.errors import Invalid
from yun.identity.ssh_keys import parse


def line(key: object) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()  # type: ignore[attr-defined]


def test_ed25519_ecdsa_and_rsa_are_read_with_size_and_fingerprint() -> None:
    for key, kind, bits in (
        (ed25519.Ed25519PrivateKey.generate(), "ssh-ed25519", 256),
        (ec.generate_private_key(ec.SECP384R1()), "ecdsa-sha2-nistp384", 384),
        (rsa.generate_private_key(65537, 2048), "ssh-rsa", 2048),
    ):
        found = parse("  " + line(key) + "   me@home  laptop \n")
        assert (found.kind, found.bits, found.comment) == (kind, bits, "me@home  laptop")
        assert found.line == line(key)
        assert found.fingerprint.startswith("SHA256:")
        assert not found.fingerprint.endswith("=")


def test_the_fingerprint_is_the_one_ssh_keygen_prints() -> None:
    text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert parse(text).fingerprint == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


def test_a_security_key_is_kept_as_it_is() -> None:
    def field(value: bytes) -> bytes:
        return len(value).to_bytes(4, "big") + value

    kind = b"sk-ssh-ed25519@openssh.com"
    blob = base64.b64encode(field(kind) + field(b"\x01" * 32) + field(b"ssh:")).decode()
    assert parse(f"{kind.decode()} {blob} yubikey").line == f"{kind.decode()} {blob}"
    with pytest.raises(Invalid):
        parse(f"{kind.decode()} {base64.b64encode(field(kind)).decode()}")
    with pytest.raises(Invalid):
        parse(f"{kind.decode()} {base64.b64encode(field(kind) + b'junk').decode()}")


def bad_keys() -> dict[str, str]:
    good = line(ed25519.Ed25519PrivateKey.generate())
    private = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return {
        "nothing": "",
        "a word": "hello",
        "no blob": "ssh-ed25519",
        "bad base64": "ssh-ed25519 AAAA!!!",
        "cut off": good[:-12],
        "another kind's blob": good.replace("ssh-ed25519", "ssh-rsa"),
        "options": 'command="rm -rf /" ' + good,
        "two keys": good + "\n" + good,
        "a carriage return": good + " x\ry",
        "a private key": private.decode(),
        "short RSA": line(rsa.generate_private_key(65537, 1024)),
        "DSA": "ssh-dss AAAAB3NzaC1kc3MAAAAJALlouKNfMAcx",
        "a certificate": good.replace("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"),
        "far too long": good + " " + "x" * 9000,
        "not ASCII": "ssh-ed25519 钥匙",
    }


@pytest.mark.parametrize("name", list(bad_keys()))
def test_a_bad_key_is_refused_and_names_the_field(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(bad_keys()[name])
    assert set(refused.value.fields) == {"public_key"}


def test_a_comment_cannot_carry_control_characters() -> None:
    good = line(ed25519.Ed25519PrivateKey.generate())
    assert parse(good + " \x1b[31mred\x07").comment == "[31mred"
