"""The site builds without a warning, and no link leads nowhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from doc_blocks import ROOT

DOCS = ROOT / "docs"

# Of Sphinx' next version, about its extensions.
pytestmark = pytest.mark.filterwarnings("ignore")


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.ids = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.add(attrs["id"])
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "icon"):
            self.loaded.append(attrs["href"])
        if tag in ("img", "script") and attrs.get("src"):
            self.loaded.append(attrs["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    build = pytest.importorskip("sphinx.cmd.build", reason="needs sphinx: pip install '.[docs]'")
    pytest.importorskip("furo")
    folder = tmp_path_factory.mktemp("site")
    cache = folder / "doctrees"
    options = ["-q", "--fail-on-warning", "--keep-going", "-d", str(cache)]
    assert build.main([*options, str(DOCS), str(folder / "html")]) == 0
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_page_is_there(site):
    for source in DOCS.rglob("*.md"):
        assert (site / source.relative_to(DOCS)).with_suffix(".html").is_file()


def test_links_lead_somewhere(site, pages):
    dead = []
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if target.is_dir():
                target = target / "index.html"
            ids = pages[target].ids if target in pages else {parts.fragment}
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in ids):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    loaded = {link for page in pages.values() for link in page.loaded}
    assert len(loaded) > 5
    assert [link for link in loaded if urlsplit(link).netloc] == []
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", text), style


def test_pages_are_made_of_the_code(site):
    from keras_maskrcnn.data.transforms import TRANSFORMS
    from keras_maskrcnn.models.presets import PRESETS

    def text(name):
        return (site / f"{name}.html").read_text(encoding="utf-8")

    assert all(name in text("reference/presets") for name in PRESETS)
    assert all(
        f">{name}<" in text("reference/settings") for name in TRANSFORMS.names if name[:3] != "my_"
    )
    line = text("reference/command-line")
    for option in ("--warmup-steps", "--rle-masks", "--allowed-hosts", "--max-megapixels"):
        assert option in line
    # Names that are imported on first use.
    main = text("reference/api/main")
    for name in ("MaskRCNN.describe", "Detections.mask_nms", "load_model", "MaskRCNN.compile"):
        assert f'id="keras_maskrcnn.{name}"' in main
    # Docstrings are Markdown: no fence and no backtick is left in them.
    for page in (site / "reference" / "api").glob("*.html"):
        content = re.sub(r"<pre>.*?</pre>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        article = content[content.index("<article") : content.index("</article")]
        assert "`" not in article, page.name


def test_links_of_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]*)(#[^)]+)?\)", text)
    assert len(links) > 15
    for target, anchor in links:
        if target.startswith("http"):
            continue
        path = ROOT / target if target else ROOT / "README.md"
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor[1:] in {slug(heading) for heading in headings}, anchor


def slug(heading):
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_picture_of_the_readme():
    from PIL import Image

    found = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert found
    for name in found:
        file = ROOT / Path(name)
        assert file.stat().st_size <= 400_000
        assert Image.open(file).width >= 800
