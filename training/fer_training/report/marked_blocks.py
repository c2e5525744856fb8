"""Parts of Markdown pages that programs write: between `<!-- name: begin ... -->` and `<!-- name: end -->`."""

from __future__ import annotations

import re
from pathlib import Path

from fer_perception.errors import SourceError
from fer_perception.system.files import write_atomically


def replace_block(text: str, name: str, content: str) -> str:
    """Put `content` between the marks of the block `name`.

    Args:
        text: of the page.
        name: of the block; what the opening mark says after `begin` stays.
        content: Markdown.

    Returns:
        The page with the new content, an empty line on either side of it.

    Raises:
        SourceError: the marks are not there exactly once.
    """
    found = list(_marks(name).finditer(text))
    if len(found) != 1:
        msg = (
            f"expected one block '<!-- {name}: begin -->' ... '<!-- {name}: end -->', found {len(found)}; add the marks"
        )
        raise SourceError(msg)
    (match,) = found
    return f"{text[: match.end('begin')]}\n\n{content.strip()}\n\n{text[match.start('end') :]}"


def write_block(page: Path, name: str, content: str) -> bool:
    """Replace a block in a file.

    Returns:
        Whether the file changed.

    Raises:
        SourceError: the file cannot be read or written (it stays whole), or has no such block.
    """
    try:
        text = page.read_text(encoding="utf-8")
        new = replace_block(text, name, content)
    except SourceError as err:
        msg = f"{page}: {err}"
        raise SourceError(msg) from None
    except (OSError, UnicodeDecodeError) as err:
        msg = f"cannot read {page} ({err}); name a text file with the block {name}"
        raise SourceError(msg) from err
    if new != text:
        write_atomically(page, new)
    return new != text


def _marks(name: str) -> re.Pattern[str]:
    mark = re.escape(name)
    return re.compile(rf"(?P<begin><!-- {mark}: begin[^\n]*-->).*?(?P<end><!-- {mark}: end -->)", re.DOTALL)
