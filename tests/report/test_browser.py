"""The report in a real browser: pointing, the keyboard, two widths, a dark page, and no request to anywhere."""

import shutil

import numpy as np
import pytest
from PIL import Image

from jaxdc import cli
from jaxdc.edit import edit_run

playwright = pytest.importorskip("playwright.sync_api")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CHROMIUM is None, reason=f"none of {', '.join(BROWSERS)} is installed"),
]
HOSTILE = 'a <img src="http:&#47;&#47;example.invalid&#47;x.png">'


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of an edited run on pictures with names that would fetch something."""
    top = tmp_path_factory.mktemp("browser")
    rng = np.random.default_rng(0)
    (top / "pictures").mkdir()
    for i in range(40):
        dark = np.clip(rng.normal(60 if i % 2 else 190, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(dark).save(top / "pictures" / f"{HOSTILE} {i:02}.png")
    run = top / "run"
    arguments = ("train", "kmeans", "--data", top / "pictures", "--workdir", run, "--n-clusters", 4)
    cli.main([str(argument) for argument in (*arguments, "--no-report")])
    edit_run(run, rename=[(0, "<script>document.title = 'taken'</script>")], reject=0.1)
    cli.main(["report", str(run)])
    return run / "report.html"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def show(browser, report):
    """Opens the page; all that it asks for and complains of is collected."""
    contexts = []

    def opened(width=1200, **how):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **how))
        page = contexts[-1].new_page()
        page.asked, page.complaints = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(report.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def readout(page):
    return page.locator(".readout").inner_text()


def test_pointing_and_the_keyboard_show_samples(show):
    page = show()
    drawing = page.locator(".drawing:not([hidden]) svg")
    assert "Point at a dot" in readout(page)
    drawing.hover()
    pointed = readout(page)
    assert ".png" in pointed and ("cluster " in pointed or "in no cluster" in pointed)
    drawing.focus()
    seen = {pointed}
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
        seen.add(readout(page))
    assert len(seen) >= 3
    page.select_option("#only", "-1")
    assert page.locator(".map path.other").count() == page.locator(".map path:not([data-c='-1'])").count()
    page.keyboard.press("Home")
    drawing.press("ArrowRight")
    assert "in no cluster" in readout(page)


def test_a_name_is_text_and_nothing_is_asked_of_any_address(show, report):
    page = show()
    assert page.asked == [report.as_uri()] and page.complaints == []
    assert page.title() == "KMeans on pictures"
    assert page.get_by_text("<script>document.title").count() > 0
    policy = page.evaluate(
        """async () => {
            const image = new Image();
            const refused = new Promise((done) => {
                image.onerror = () => done(true);
                image.onload = () => done(false);
            });
            image.src = "http://127.0.0.1:9/x.png";
            return await refused;
        }"""
    )
    assert policy is True
    assert any("Content Security Policy" in text for text in page.complaints)


@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_is_wider_than_the_window(show, width):
    page = show(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".readout").is_visible()
    beside = (
        page.locator(".readout").bounding_box()["x"] > page.locator(".map figure").first.bounding_box()["x"] + 9
    )
    assert beside == (width == 1200)


def test_a_dark_page_has_light_text_and_colours_of_its_own(show):
    def seen(page):
        style = "getComputedStyle(document.querySelector('{}')).{}"
        parts = (("body", "backgroundColor"), ("body", "color"), (".map path[data-c='0']", "stroke"))
        return [page.evaluate(style.format(selector.replace("'", '"'), name)) for selector, name in parts]

    light, dark = seen(show(color_scheme="light")), seen(show(color_scheme="dark"))
    assert light[0] == "rgb(255, 255, 255)" and dark[0] == "rgb(18, 18, 18)"
    assert all(a != b for a, b in zip(light, dark, strict=True))


def test_links_lead_to_the_cards(show):
    page = show()
    page.locator(".sizes a").first.click()
    assert page.evaluate("document.querySelector('article:target') !== null")
    assert page.locator(".tree a").first.get_attribute("href").startswith("#c")
