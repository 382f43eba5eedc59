"""A headless browser for the tests of what people see; screenshots go to test-output/ui/."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

SCREENSHOTS = Path(__file__).resolve().parent.parent.parent / "test-output" / "ui"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
#: Milliseconds that a page may take to show something, while other tests have the processors.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)


# Not for the session: as long as it is open, nothing else in this process can run an event loop.
@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a headless Chromium that can reach nothing but this machine."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 1400})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


@pytest.fixture
def keep(page: Page) -> Callable[[str], None]:
    """Keeps a screenshot of the whole page under a name."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def screenshot(name: str) -> None:
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    return screenshot
