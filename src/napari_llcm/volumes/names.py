"""Names that become a file or a folder, wherever they come from."""

from __future__ import annotations

import re
import unicodedata

from ..events import UserError

MOST_BYTES = 180  # file systems take 255; suffixes and temporary files are named after it
# what Windows keeps for devices, whatever follows a dot
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.I)
_FORBIDDEN = '/\\:*?"<>|'  # by one system or another; a folder is shared between them


def plain_name(name: str, what: str = "name") -> str:
    """Return a name that is one part of a path, on every system; refuse any other.

    Names come from tables, job files and models of strangers: one with `..` or a separator would
    write, or replace, something outside the folder that the user has chosen.

    Parameters
    ----------
    name : str
        The name, without suffix.
    what : str
        What it is the name of: "name of the model".

    Returns
    -------
    str
        The same name.

    Raises
    ------
    UserError
        If it is no such name.
    """
    fault = _fault(name)
    if fault:
        shown = ascii(name) if not name.isprintable() else f"'{name}'"
        if len(shown) > 60:
            shown = f"{shown[:57]}…'"
        raise UserError(f"The {what} {shown} {fault}: choose another, such as 'cells 1'.")
    return name


def _fault(name: str) -> str:
    if not name.strip(". "):
        return "is empty" if not name else "has nothing but dots and blanks"
    if found := next((c for c in name if c in _FORBIDDEN), ""):
        return f"holds {found}, which no file can have in its name everywhere"
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        return "holds characters that cannot be seen"
    if name != name.strip() or name.endswith("."):
        return "begins or ends with a blank, or ends with a dot"
    if _RESERVED.fullmatch(name):
        return "is kept by Windows for a device"
    if len(name.encode()) > MOST_BYTES:
        return f"is too long ({len(name.encode())} bytes, {MOST_BYTES} at most)"
    return ""
