"""The page in headless Chromium, on a model that finds rectangles by their colour."""

import base64
import io
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_maskrcnn.serving.model import FILES, BrokenPictureError

from .conftest import TAKES_RGB, running

# In the order of their scores.
COLORS = ((200, 0, 0), (0, 180, 0), (0, 0, 220))
NAMES, SCORES = ["red", "green", "blue"], (0.9, 0.6, 0.3)
GROUND = (128, 128, 128)
# x1 y1 x2 y2
BOXES = ((20, 10, 60, 50), (100, 30, 160, 90), (10, 70, 40, 110))
# The page's first colour, its fill, and what a red pixel becomes under it.
FIRST, FILL = np.array([0xFF, 0x56, 0x46]), 0.42


def scene(boxes=BOXES):
    pixels = np.full((120, 180, 3), GROUND, np.uint8)
    for color, (x1, y1, x2, y2) in zip(COLORS, boxes, strict=False):
        pixels[y1:y2, x1:x2] = color
    return pixels


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def decode(content):
    """Turned upright, as an exported model does."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except OSError:
        raise BrokenPictureError(0) from None


def find(signature, rows):
    rows = [decode(row) for row in rows] if signature == FILES else rows
    outputs = {
        "boxes": np.zeros([len(rows), 3, 4], np.float32),
        "classes": np.full([len(rows), 3], -1),
        "scores": np.zeros([len(rows), 3], np.float32),
        "masks": np.ones([len(rows), 3, 28, 28], np.float32),
        "counts": np.zeros([len(rows)], np.int32),
        "image_sizes": np.array([row.shape[:2] for row in rows]),
    }
    for i, row in enumerate(rows):
        for k, color in enumerate(COLORS):
            # JPEG shifts colours a little.
            y, x = np.nonzero(np.abs(row - np.array(color)).max(-1) < 12)
            if len(y):
                place = outputs["counts"][i]
                outputs["boxes"][i, place] = x.min(), y.min(), x.max() + 1, y.max() + 1
                outputs["classes"][i, place], outputs["scores"][i, place] = k, SCORES[k]
                outputs["counts"][i] += 1
    return outputs


@pytest.fixture(scope="module")
def server():
    model = SimpleNamespace(
        name="colours",
        version=3,
        class_names=NAMES,
        max_pixels=None,
        canvas=lambda sizes: sizes[0],
        run=find,
        **TAKES_RGB,
    )
    with running(model, max_pixels=1_000_000) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.add_argument("--window-size=1200,900")
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def page(server, browser):
    browser.get(server)
    page = Page(browser)
    page.wait_until(lambda: page["#model"].text.strip())
    return page


class Page:
    def __init__(self, browser):
        self.browser = browser

    def __getitem__(self, selector):
        return self.browser.find_element("css selector", selector)

    def wait_until(self, condition):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.browser, 20, 0.05).until(lambda _: condition())

    def wait(self, *states):
        self.wait_until(lambda: self["body"].get_attribute("data-state") in states)

    def choose(self, path):
        self["#file"].send_keys(path)
        self.wait("done", "error")

    def drop(self, content, name="dropped.png", media_type="image/png"):
        self.browser.execute_script(
            """
            const [content, name, type] = arguments;
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name, { type }));
            const stage = document.getElementById("stage");
            stage.dispatchEvent(new DragEvent("dragover", { dataTransfer, bubbles: true }));
            stage.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
            """,
            base64.b64encode(content).decode(),
            name,
            media_type,
        )
        self.wait("done", "error")

    def set_score(self, value):
        self.browser.execute_script(
            "const s = document.getElementById('score'); s.value = arguments[0];"
            "s.dispatchEvent(new Event('input'));",
            value,
        )

    def shown(self):
        """Names in the list; as many are drawn."""
        names = [e.text for e in self.browser.find_elements("css selector", "#objects .name")]
        assert int(self["#canvas"].get_attribute("data-drawn")) == len(names)
        return names

    def color(self, x, y):
        """RGB on the canvas, at a place in pixels of the picture."""
        return self.browser.execute_script(
            """
            const canvas = document.getElementById("canvas");
            const scale = canvas.width / arguments[2];
            const [x, y] = [arguments[0] * scale, arguments[1] * scale];
            return Array.from(canvas.getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3));
            """,
            x,
            y,
            self.width,
        )

    width = 180


def assert_drawn(page, box, color, others):
    """The first object's mask covers its rectangle and nothing around."""
    x1, y1, x2, y2 = box
    inside = FILL * FIRST + (1 - FILL) * np.array(color)
    for x, y in ((x1 + 4, y2 - 4), ((x1 + x2) / 2, (y1 + y2) / 2), (x2 - 4, y2 - 4)):
        np.testing.assert_allclose(page.color(x, y), inside, atol=3)
    for x, y in ((x1 - 3, (y1 + y2) / 2), (x2 + 3, (y1 + y2) / 2), ((x1 + x2) / 2, y2 + 3)):
        np.testing.assert_allclose(page.color(x, y), others, atol=3)


def test_chosen_file(page, tmp_path):
    assert page["#model"].text == "colours, version 3: 3 classes"
    page.choose(save(tmp_path / "scene.png", scene()))
    assert page.shown() == ["red", "green"]
    assert page["#status"].text == "2 objects in scene.png, 1 more below the score."
    assert page["#canvas"].get_attribute("aria-label") == "scene.png, with red, green"
    assert_drawn(page, BOXES[0], COLORS[0], GROUND)


def test_slider_needs_no_server(page, tmp_path):
    page.choose(save(tmp_path / "scene.png", scene()))
    requests = "return performance.getEntriesByType('resource').length"
    before = page.browser.execute_script(requests)
    for score, names in ((0.95, []), (0.25, NAMES), (0.6, NAMES[:2]), (0.7, NAMES[:1])):
        page.set_score(score)
        assert page.shown() == names
        assert page["#score-value"].text == f"{score:.2f}"
    np.testing.assert_allclose(page.color(130, 70), COLORS[1], atol=3)  # No mask any more.
    assert_drawn(page, BOXES[0], COLORS[0], GROUND)
    assert page.browser.execute_script(requests) == before


def test_by_keyboard_alone(page, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(key):
        ActionChains(page.browser).send_keys(key).perform()
        return page.browser.switch_to.active_element

    page.choose(save(tmp_path / "scene.png", scene()))
    page.browser.execute_script("document.activeElement.blur()")
    assert press(Keys.TAB).get_attribute("id") == "file"
    assert press(Keys.TAB).get_attribute("id") == "score"
    press(Keys.HOME)
    assert page.shown() == NAMES
    assert press(Keys.TAB).text.split() == ["red", "0.90"]
    assert press(Keys.ENTER).get_attribute("aria-pressed") == "true"
    # The others became faint.
    faint = np.array(page.color(130, 70)) - COLORS[1]
    assert 0 < np.abs(faint).max() < 40


def test_dropped_file(page, tmp_path):
    content = io.BytesIO()
    Image.fromarray(scene(BOXES[:1])).save(content, "PNG")
    page.drop(content.getvalue())
    assert page.shown() == ["red"]
    assert page["#status"].text == "1 object in dropped.png."


def test_errors_in_words(page, tmp_path):
    whole = scene()
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, whole.shape, np.uint8)).save(
        content, "PNG"
    )
    page.drop(content.getvalue()[:3000])
    assert page["body"].get_attribute("data-state") == "error"
    expected = "The picture: cannot decode it. Expected a whole PNG file of 180 x 120 pixels"
    assert expected in page["#error"].text
    assert page["#error"].get_attribute("role") == "alert"
    page.drop(b"some text", "notes.txt", "text/plain")
    assert "Expected Content-Type image/jpeg" in page["#error"].text
    page.choose(save(tmp_path / "large.png", np.zeros((1100, 1000, 3), np.uint8)))
    assert "1000 x 1100 = 1100000" in page["#error"].text
    # And goes on with the next picture.
    page.choose(save(tmp_path / "scene.png", whole))
    assert page.shown() == ["red", "green"]
    assert not page["#error"].is_displayed()


@pytest.mark.parametrize("format", ["png", "jpg"])
@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_turned_picture_and_objects_agree(page, tmp_path, format, orientation):
    """Pictures are stored so that, turned as EXIF says, they are the scene."""
    back = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        6: lambda p: np.rot90(p, 1),
        8: lambda p: np.rot90(p, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(back[orientation](scene(BOXES[:1])))
    options = {"exif": exif}
    if format == "jpg":
        options |= {"quality": 100, "subsampling": 0}
    page.choose(save(tmp_path / f"turned.{format}", stored, **options))
    assert page.shown() == ["red"]
    assert_drawn(page, BOXES[0], COLORS[0], GROUND)
