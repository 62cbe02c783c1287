"""What a picture is drawn of: boxes with texts in them, lines between them, and how large each is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from yun.network.topology.fit import fit, width

BAR, BAR_LEAST, ROUTER_W, ROUTER_H = 44, 228, 212, 44
CARD_W, CARD_H, CARD_MORE = 164, 44, 18
RAIL, GAP_X, GAP_Y = 14, 10, 10
CHANNEL, SHELF, GUTTER, EDGE = 42, 30, 20, 12
WIDEST = 1000
NAME, SMALL = 13.0, 11.0
DOT = 11


@dataclass(frozen=True)
class Text:
    """One line of text; ``anchor`` as in SVG, ``whole`` what was too long to be shown."""

    x: float
    y: float
    text: str
    css: str = "name"
    size: float = NAME
    anchor: str = "start"
    href: str = ""
    whole: str = ""

    def moved(self, dx: float, dy: float) -> Text:
        """The same elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)

    @property
    def span(self) -> tuple[float, float]:
        """Where it begins and ends."""
        long = width(self.text, self.size, self.css == "mono")
        return (self.x - long, self.x) if self.anchor == "end" else (self.x, self.x + long)


@dataclass
class Box:
    """A thing at its place. ``id`` is what lines and legends name it by; ``title`` is told on hover and read aloud."""

    id: str
    kind: str
    x: float
    y: float
    w: float
    h: float
    href: str = ""
    title: str = ""
    icon: str = ""
    state: str = ""
    texts: list[Text] = field(default_factory=list)
    groups: tuple[str, ...] = ()
    toggle: bool = False

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle."""
        return self.x + self.w / 2, self.y + self.h / 2

    def move(self, dx: float, dy: float) -> None:
        """Set it elsewhere."""
        self.x, self.y = self.x + dx, self.y + dy
        self.texts = [text.moved(dx, dy) for text in self.texts]

    def write(
        self, text: str, row: int, *, left: float = 0, right: float = 0, mono: bool = False, href: str = "",
        end: bool = False, small: bool = False,
    ) -> None:  # fmt: skip
        """Write into a row of it (0 the first), ``left`` and ``right`` pixels off its edges, as much as fits."""
        size = SMALL if mono or row or small else NAME
        room = self.w - left - right
        shown = fit(text, room, size, mono)
        css = "mono" if mono else ("small" if row or small else "name")
        x = self.x + self.w - right if end else self.x + left
        self.texts.append(Text(
            x, self.y + (18, 35, 53, 71)[row], shown, css, size, "end" if end else "start", href,
            text if shown != text else "",
        ))  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A line between things: ``path`` as in SVG, ``ends`` the ids of what it joins; ``strength`` is its width by what
    goes through, 0 where that is not known."""

    kind: str
    path: str
    ends: tuple[str, ...]
    title: str = ""
    strength: float = 0


@dataclass(frozen=True)
class Stroke:
    """A line while things are still being placed."""

    kind: str
    points: list[tuple[float, float]]
    ends: tuple[str, str]
    title: str = ""
    strength: float = 0


@dataclass
class Part:
    """Boxes, lines and labels that are placed together; (0, 0) is its upper left corner."""

    w: float = 0
    h: float = 0
    boxes: list[Box] = field(default_factory=list)
    lines: list[Stroke] = field(default_factory=list)
    labels: list[Text] = field(default_factory=list)

    def take(self, other: Part, dx: float, dy: float) -> None:
        """Put the other part into this one."""
        for box in other.boxes:
            box.move(dx, dy)
            self.boxes.append(box)
        for line in other.lines:
            self.lines.append(replace(line, points=[(x + dx, y + dy) for x, y in line.points]))
        self.labels += [label.moved(dx, dy) for label in other.labels]

    def line(
        self, kind: str, points: list[tuple[float, float]], ends: tuple[str, str], title: str = "", strength: float = 0
    ) -> None:
        """Draw a line through the points."""
        self.lines.append(Stroke(kind, points, ends, title, strength))


@dataclass(frozen=True)
class Picture:
    """A finished picture in pixels."""

    width: float
    height: float
    boxes: list[Box]
    lines: list[Line]
    labels: list[Text]
