"""Take the pictures of the tutorials: parts of the page of published comparisons, as a browser shows them.

``make screenshots`` runs it. It needs chromium and chromedriver.
"""

import shutil
import tempfile
from pathlib import Path

from rich.console import Console
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.wait import WebDriverWait

import switchbench

ROOT = Path(__file__).parent.parent
PICTURES = {
    "report": ("fashion-mnist", "#task-0", 780),
    "search": ("search-fashion-mnist", "#search", 750),
}
"""By name of the picture: the published comparison, a part of its page, and the most pixels of height."""
WIDTH, SECONDS = 1100, 60
SCROLL = "arguments[0].scrollIntoView({behavior: 'instant'})"


def main() -> None:
    """Write docs/assets/NAME.png for every picture."""
    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "hide-scrollbars", f"window-size={WIDTH},1400"):
        options.add_argument(f"--{argument}")
    options.binary_location = shutil.which("chromium") or ""
    with (
        webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as browser,
        tempfile.TemporaryDirectory() as folder,
    ):
        for name, (comparison, part, height) in PICTURES.items():
            page = Path(folder) / name
            switchbench.report(ROOT / "docs" / "results" / comparison, Console(quiet=True), out=page)
            browser.get((page / "index.html").as_uri())
            element = browser.find_element(By.CSS_SELECTOR, part)
            browser.execute_script(SCROLL, element)
            drawn = (By.CSS_SELECTOR, f"{part} .main-svg")
            WebDriverWait(browser, SECONDS).until(presence_of_element_located(drawn))
            browser.set_window_size(WIDTH, height)
            browser.execute_script(SCROLL, element)
            browser.save_screenshot(str(ROOT / "docs" / "assets" / f"{name}.png"))


if __name__ == "__main__":
    main()
