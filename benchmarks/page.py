"""The page in headless Chromium: when something is seen of it, when it can be used, how many bytes it takes."""

import shutil

import click
from playwright.sync_api import Browser, sync_playwright

from benchmarks.report import Figure, show
from benchmarks.running import Servers, run_servers
from voice_stack.core.http.page import FOLDER

VISITS = 20
PAINT_BAR_MS = 300.0
BYTES_BAR_KB = 150.0
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
USABLE = "performance.getEntriesByType('navigation')[0].domComplete"


def measure(servers: Servers) -> list[Figure]:
    """Visit the Voice server's page, each time with nothing kept from before; the first visit warms up."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise FileNotFoundError("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        visits = [_visit(browser, servers.urls["chat"]) for _ in range(VISITS + 1)][1:]
        browser.close()
    painted, usable = zip(*visits, strict=True)
    size_kb = sum(path.stat().st_size for path in FOLDER.iterdir()) / 1000
    return [
        Figure("The page: until something is seen", "ms", painted, bar=PAINT_BAR_MS),
        Figure("The page: until it can be used", "ms", usable),
        Figure("The page: all of its files", "kB", (size_kb,), bar=BYTES_BAR_KB),
    ]


def _visit(browser: Browser, url: str) -> tuple[float, float]:
    page = browser.new_page()
    page.goto(url)
    page.wait_for_function(PAINT)
    painted, usable = float(page.evaluate(PAINT)), float(page.evaluate(USABLE))
    page.context.close()
    return painted, usable


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
def main(markdown: bool) -> None:
    """Visit the page twenty times; takes half a minute."""
    with run_servers() as servers:
        show(measure(servers), markdown=markdown)


if __name__ == "__main__":
    main()
