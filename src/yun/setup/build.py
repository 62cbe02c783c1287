"""What is made from sources before the cloud runs: the panel's files and the message catalogue."""

from __future__ import annotations

import os
import sys

from yun.base.errors import YunError
from yun.base.messages import COMPILED, compile_catalogue, po_files
from yun.web import assets


def catalogue() -> bool:
    """The merged Chinese is compiled where a source is newer; true where that was needed."""
    newest = max((path.stat().st_mtime for path in po_files()), default=0.0)
    if COMPILED.exists() and COMPILED.stat().st_mtime >= newest:
        return False
    fresh = COMPILED.with_suffix(f".{os.getpid()}")  # two builds at once must not write into one file
    fresh.write_bytes(compile_catalogue())
    fresh.replace(COMPILED)
    os.utime(COMPILED)
    return True


def build() -> bool:
    """Both; true where something was done. Raises what `assets.build` raises."""
    made = catalogue()
    return assets.build() or made


def main() -> int:
    """``python -m yun.setup.build``."""
    try:
        build()
    except YunError as error:
        hint = f"\n  {error.hint.render()}" if error.hint else ""
        sys.stderr.write(f"{error.message.render()}{hint}\n{error.private}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
