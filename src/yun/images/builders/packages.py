"""Packages of the distribution, fetched through the host's own apt sources, checked by apt, unpacked only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from yun.base.errors import Unavailable
from yun.base.messages import _
from yun.images.builders.tools import Tick, run

_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) (?P<digest>\S+)$")


@dataclass(frozen=True)
class Package:
    """One package file that apt offers: its name, the file's name, and the digest apt checks it by."""

    name: str
    file: str
    digest: str


class Archive:
    """What apt can fetch on this host. ``cache`` keeps fetched files, and package lists where the host has none."""

    def __init__(self, cache: Path, tick: Tick) -> None:
        self.cache = cache
        self.tick = tick
        self.options: list[str] = ["-q", "-o", "APT::Sandbox::User=root"]

    def resolve(self, names: list[str]) -> list[Package]:
        """The newest version of each package. Fetches package lists of its own where the host's are missing.

        Raises `Unavailable` where apt knows no such package or reaches no mirror.
        """
        try:
            return self._offers(names)
        except Unavailable:
            self._own_lists()
        try:
            return self._offers(names)
        except Unavailable as error:
            raise Unavailable(
                _("The distribution's packages cannot be found."),
                hint=_("Check the apt sources and the network of this host, and run: apt-get update"),
                private=error.private,
            ) from error

    def depends(self, name: str) -> list[str]:
        """The first-level dependencies of a package, as apt names them."""
        text = run(["apt-cache", *self.options[1:], "depends", name], tick=self.tick)
        return re.findall(r"^\s*Depends: (\S+)", text, re.MULTILINE)

    def fetch(self, packages: list[Package]) -> list[Path]:
        """The files of ``packages``, downloaded into the cache where they are not there yet."""
        folder = self.cache / "packages"
        folder.mkdir(parents=True, exist_ok=True)
        missing = [p.name for p in packages if not (folder / p.file).exists()]
        if missing:
            run(["apt-get", *self.options, "download", *missing], tick=self.tick, cwd=folder)
        return [folder / p.file for p in packages]

    def unpack(self, files: list[Path], into: Path) -> None:
        """Unpack package files into a directory, without running anything of theirs."""
        into.mkdir(parents=True, exist_ok=True)
        for file in files:
            run(["dpkg-deb", "-x", file, into], tick=self.tick)

    def sources(self, suite: str) -> list[str]:
        """One-line apt sources of ``suite``, its updates and its security fixes, as this host is configured."""
        wanted = re.compile(rf"^{re.escape(suite)}(-updates|-security)?$")
        text = run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
            tick=self.tick,
        )
        found = set()
        for line in text.splitlines():
            uri, _space, rest = line.partition(" ")
            release, _space, component = rest.partition(" ")
            if wanted.match(release) and component == "main":
                found.add(f"deb {uri} {release} main")
        return sorted(found)

    def _offers(self, names: list[str]) -> list[Package]:
        text = run(["apt-get", *self.options, "download", "--print-uris", *names], tick=self.tick)
        offered: dict[str, Package] = {}
        for line in text.splitlines():
            if match := _URI.match(line.strip()):
                name = unquote(match["file"]).partition("_")[0]
                offered[name] = Package(name, match["file"], match["digest"])
        missing = [name for name in names if name not in offered]
        if missing:
            raise Unavailable(_("There is no package {name}.", name=", ".join(missing)), private=text)
        return [offered[name] for name in names]

    def _own_lists(self) -> None:
        lists = self.cache / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        (self.cache / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        self.options += ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={self.cache}"]
        try:
            run(["apt-get", *self.options, "update"], tick=self.tick)
        except Unavailable:
            # One dead third-party source fails the whole update; whether ours came is seen when they are asked for.
            return
