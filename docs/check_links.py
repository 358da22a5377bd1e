"""Check a built site: every link to a page, file or anchor of its own leads somewhere.

    python docs/check_links.py docs/_build/html

What a page needs (scripts, styles, pictures) must lie in the site itself, so that it works without
a network. Links to other sites are counted, not visited.
"""

import argparse
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Attributes that make a browser load something; a link is only followed by its reader.
_LOADED = {
    ("script", "src"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "src"),
    ("object", "data"),
}
_STYLES = {"stylesheet", "preload", "icon", "manifest"}


class _Page(HTMLParser):
    """Anchors and references of one page."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = {name: value for name, value in attributes if value}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        self.loaded += [value for name, value in values.items() if (tag, name) in _LOADED]
        if tag in ("a", "link") and "href" in values:
            is_style = tag == "link" and _STYLES & set(values.get("rel", "").split())
            (self.loaded if is_style else self.links).append(values["href"])


def check_site(folder):
    """Return a line for each broken reference, and counts of what was looked at."""
    folder = folder.resolve()
    paths = [p for p in sorted(folder.rglob("*.html")) if "_static" not in p.parts]  # templates
    pages = {path: _Page(path.read_text("utf-8")) for path in paths}
    broken, counts = [], {"pages": len(pages), "internal": 0, "external": 0}
    for path, page in pages.items():
        for reference in page.links + page.loaded:
            parts = urlsplit(reference)
            if parts.scheme == "data":
                continue
            is_external = bool(parts.scheme or parts.netloc)
            counts["external" if is_external else "internal"] += 1
            if not is_external:
                complaint = _complaint(path, parts, pages)
            else:
                complaint = "is loaded from another site" if reference in page.loaded else None
            if complaint:
                broken.append(f"{path.relative_to(folder)}: {reference} {complaint}")
    return sorted(set(broken)), counts


def _complaint(path, parts, pages):
    """Return what is wrong with a reference inside the site, or None."""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.exists():
        return "is not there"
    anchors = pages[target].anchors | {"", "top"} if target in pages else {unquote(parts.fragment)}
    return None if unquote(parts.fragment) in anchors else "has no such anchor"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("site", type=Path, help="folder of the built site")
    site = parser.parse_args().site
    if not (site / "index.html").is_file():
        parser.error(f"{site} holds no index.html; build the site first")
    broken, counts = check_site(site)
    print(*broken, sep="\n")
    print(
        f"{counts['pages']} pages, {counts['internal']} references inside the site, "
        f"{len(broken)} broken; {counts['external']} to other sites, not visited"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
