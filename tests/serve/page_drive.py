"""What a person does with the page, in a real browser."""

import shutil
from contextlib import contextmanager

PEOPLE = ("Ann Lee", "Ben Okafor", "Cleo Ünal")


def chromium():
    """The browser's program; None for none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def opened(url, *, width=1280, dark=False):
    """The page at a width; what is wrong with it, or fetched from elsewhere, is gathered in page.troubles."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        camera = [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
        ]  # a green picture with a clock
        browser = tools.chromium.launch(executable_path=chromium(), args=["--no-sandbox", *camera])
        scheme = "dark" if dark else "light"
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        page.troubles = []
        page.on("console", lambda said: said.type == "error" and page.troubles.append(said.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on(
            "request",
            lambda asked: asked.url.startswith((url, "blob:", "data:")) or page.troubles.append(f"fetched {asked.url}"),
        )
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(url)
        yield page
        browser.close()


def tab(page, name):
    page.get_by_role("tab", name=name).click()


def enrol(page, name, photos):
    tab(page, "Enrol")
    page.locator("#enrol-result").evaluate("place => place.replaceChildren()")
    page.get_by_label("Name", exact=True).fill(name)
    page.locator("#enrol").get_by_role("button", name="Clear").click()
    page.locator("#picker-photos").set_input_files([str(photo) for photo in photos])
    page.locator("#enrol").get_by_role("button", name="Enrol").click()
    page.locator("#enrol-result .answer").wait_for()
    return page.locator("#enrol-result h3").inner_text()


def search(page, photo):
    tab(page, "Search")
    page.locator("#search-result").evaluate("place => place.replaceChildren()")
    page.locator("#picker-photo").set_input_files(str(photo))
    page.get_by_role("button", name="Search").click()
    page.locator("#search-result .answer").wait_for()
    return page.locator("#search-result h3").inner_text()


def verify(page, left, right):
    tab(page, "Verify")
    page.locator("#verify-result").evaluate("place => place.replaceChildren()")
    page.locator("#picker-left").set_input_files(str(left))
    page.locator("#picker-right").set_input_files(str(right))
    page.get_by_role("button", name="Compare").click()
    page.locator("#verify-result .answer").wait_for()
    return page.locator("#verify-result h3").inner_text()


def threshold(page):
    tab(page, "Threshold")
    page.locator("#rates tr").first.wait_for()
    return page.locator("#line")


def drag(page, share):
    """Take the line with the mouse to a share of the histogram's width; the threshold that is shown then."""
    box = page.locator("#histogram").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    return float(page.locator("#value").inner_text())


def choose(page, use, by, reason):
    page.locator("#choose-result").evaluate("place => place.replaceChildren()")
    page.get_by_label("For", exact=True).select_option(use)
    page.get_by_label("Your name").fill(by)
    page.get_by_label("Why").fill(reason)
    page.get_by_role("button", name="Deploy").click()
    page.locator("#choose-result .answer").wait_for()
    return page.locator("#choices").inner_text()


def overflow(page):
    """Pixels by which the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def barriers(page):
    """What keeps people from using the page: names, roles, landmarks, contrast, as axe-core finds it."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:120]}" for each in found for node in each["nodes"]]


def shoot(page):
    """Take a photo with the camera for the first place of the tab; what the page says of it."""
    page.get_by_role("button", name="Camera").first.click()
    page.locator("#video").evaluate(
        "v => new Promise(done => v.videoWidth ? done() : v.addEventListener('resize', done))"
    )
    page.get_by_role("button", name="Take it").click()
    page.locator("#camera").wait_for(state="hidden")
    return page.locator("[data-label='First photo']").inner_text()
