"""The calculator in a real browser: headless Chromium driven by Playwright, against a server of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""
try:
    from playwright.sync_api import Browser, Page, expect, sync_playwright
except ImportError:
    pytest.skip("BROWSER TESTS SKIPPED: playwright is not installed (pip install playwright)", allow_module_level=True)
if not CHROMIUM:
    pytest.skip("BROWSER TESTS SKIPPED: no chromium (apt-get install chromium)", allow_module_level=True)
pytest.importorskip("streamlit", reason="the web calculator needs the extra 'web'")

from sizing.base.units import usd  # noqa: E402
from sizing.planning.planner import plan  # noqa: E402
from sizing.study import load_study, parse_study  # noqa: E402
from sizing.web import share  # noqa: E402
from sizing.web.document import json_of  # noqa: E402
from sizing.web.launch import arguments  # noqa: E402
from sizing.web.pages.claim import EXAMPLES  # noqa: E402
from sizing.web.state import default_study  # noqa: E402
from tests.web.conftest import PAGES  # noqa: E402
from tests.web.test_share import QWEN  # noqa: E402

pytestmark = [pytest.mark.browser]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 180_000  # ms: a bound for what hangs, not a measure; busy machines are slow
# Streamlit asks beside the page's own path first, and asks again at the root when that is not there.
EXPECTED = ("/_stcore/health", "/_stcore/host-config")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server on a free port, as ``sizing app`` starts it; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "streamlit", *arguments(port, "127.0.0.1", True), "--server.fileWatcherType=none"]
    paths = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=30)
            break
        except OSError:
            time.sleep(0.2)
    assert process.poll() is None, "the server did not start"
    yield address
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Window:
    """One fresh browser window that remembers what went wrong in it."""

    def __init__(self, browser: Browser, server: str, **settings: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 1200}, **settings})
        self.page: Page = self.context.new_page()
        self.server = server
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)
        self.page.on("response", self._response)
        self.page.on("requestfailed", self._failed)

    def _failed(self, request: Any) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # what a reload cuts off
            self.errors.append(f"failed: {request.url}")

    def _console(self, message: Any) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def _response(self, response: Any) -> None:
        if response.status >= 400 and not response.url.endswith(EXPECTED):
            self.errors.append(f"{response.status} {response.url}")

    def go(self, path: str = "/") -> Page:
        self.page.goto(path if path.startswith("http") else self.server + path)
        expect(self.page.locator("h1").first).to_be_visible(timeout=WAIT)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until the script has run."""
        self.page.wait_for_timeout(300)
        expect(self.page.get_by_test_id("stApp")).to_have_attribute(
            "data-test-script-state", "notRunning", timeout=WAIT
        )

    def metric(self, label: str) -> str:
        card = self.page.get_by_test_id("stMetric").filter(has_text=label).first
        return card.get_by_test_id("stMetricValue").inner_text()


@pytest.fixture
def window(browser: Browser, server: str) -> Iterator[Window]:
    found = Window(browser, server)
    yield found
    found.context.close()


def month_of(study: Any) -> str:
    best = plan(study).best
    assert best is not None
    return usd(best.usd_per_month or 0)


def test_default_plan_model_change_and_link(browser: Browser, server: str, window: Window) -> None:
    page = window.go()
    assert window.metric("Cost per month") == month_of(default_study())
    expect(page.get_by_text("16 ×").or_(page.locator("[data-testid=stAlert]")).first).to_be_visible()
    box = page.get_by_role("combobox", name="Model of the catalog")
    box.click()
    box.fill("Qwen3-8B (")
    page.get_by_role("option").first.click()
    window.settle()
    changed = parse_study({**default_study().model_dump(mode="json"), "model": "Qwen/Qwen3-8B"})
    expect(page.get_by_test_id("stMetric").filter(has_text="Cost per month").first).to_contain_text(month_of(changed))
    link = page.url
    assert "s=1." in link
    page.reload()
    window.settle()
    expect(page.get_by_test_id("stMetric").filter(has_text="Cost per month").first).to_contain_text(
        month_of(changed), timeout=WAIT
    )
    other = Window(browser, server)
    other.go(link)
    assert other.metric("Cost per month") == month_of(changed)
    assert other.errors == window.errors == []
    other.context.close()


def test_all_pages_in_one_session(window: Window) -> None:
    page = window.go()
    for name in ("Memory", "Speed", "Cost", "Compare", "Check a claim", "Evidence", "Catalog", "Plan"):
        page.get_by_test_id("stTopNavLink").filter(has_text=name).first.click()
        window.settle()
        expect(page.locator("h1").first).to_be_visible()
        assert page.get_by_test_id("stException").count() == 0, name
        shown = share.decode(page.url.split("s=")[1].split("&")[0])
        assert json_of(shown) == json_of(default_study()), name
    assert window.errors == []


def test_quick_clicks_lose_no_input(window: Window) -> None:
    page = window.go()
    for name in ("Memory", "Speed", "Cost", "Plan") * 3:
        page.get_by_test_id("stTopNavLink").filter(has_text=name).first.click()
        page.wait_for_timeout(60)
    window.settle()
    rate = page.get_by_label("Requests per second at the peak")
    assert float(rate.input_value()) == pytest.approx(default_study().workload.arrival.requests_per_s)  # type: ignore[union-attr]
    rate.fill("12")
    rate.press("Enter")
    window.settle()  # on a busy machine a page that is clicked within the same moment may still win over the edit
    page.get_by_test_id("stTopNavLink").filter(has_text="Cost").first.click()
    expect(page.get_by_role("heading", name="Cost", level=1)).to_be_visible(timeout=WAIT)
    window.settle()
    assert float(page.get_by_label("Requests per second at the peak").input_value()) == 12
    data = default_study().model_dump(mode="json")
    data["workload"]["arrival"]["requests_per_s"] = 12
    data["workload"] |= {"name": "custom, from chat", "source": ""}
    assert json_of(share.decode(page.url.split("s=")[1].split("&")[0])) == json_of(parse_study(data))
    assert window.errors == []


def test_own_config_and_bad_upload(window: Window, tmp_path: Path) -> None:
    page = window.go()
    page.get_by_text("Family, Hub id or own config.json").click()
    good, bad = tmp_path / "mine.json", tmp_path / "bad.json"
    good.write_text(json.dumps(QWEN))
    bad.write_text('{"a":' * 60 + "1" + "}" * 60)
    chooser = page.locator("input[type=file]").first
    chooser.set_input_files(str(bad))
    expect(page.get_by_text("Refused, nothing was changed").first).to_be_visible(timeout=WAIT)
    assert window.metric("Cost per month") == month_of(default_study())
    chooser.set_input_files(str(good))
    expect(page.get_by_text("Now sizing mine").first).to_be_visible(timeout=WAIT)
    window.settle()
    data = default_study().model_dump(mode="json")
    data["model"] = {"name": "mine", "config": QWEN}
    assert window.metric("Cost per month") == month_of(parse_study(data))
    assert window.errors == []


def test_download_and_bring_back_the_study(browser: Browser, server: str, window: Window, tmp_path: Path) -> None:
    page = window.go("/?lang=en")
    rate = page.get_by_label("Requests per second at the peak")
    rate.fill("12")
    rate.press("Enter")
    window.settle()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="study.yaml").click()
    file = tmp_path / "study.yaml"
    waiting.value.save_as(file)
    study = load_study(file)
    assert study.workload.arrival.requests_per_s == 12  # type: ignore[union-attr]
    other = Window(browser, server)
    other.go()
    other.page.get_by_text("Load a study").click()
    other.page.locator("input[type=file]").last.set_input_files(str(file))
    expect(other.page.get_by_text("The study is loaded.").first).to_be_visible(timeout=WAIT)
    other.settle()
    assert other.metric("Cost per month") == month_of(study)
    assert other.errors == window.errors == []
    other.context.close()


def test_chinese(window: Window) -> None:
    page = window.go()
    page.get_by_text("简体中文").click()
    expect(page.locator("h1").first).to_have_text("部署方案", timeout=WAIT)
    assert "lang=zh" in page.url
    page.reload()
    expect(page.locator("h1").first).to_have_text("部署方案", timeout=WAIT)
    assert window.errors == []


def test_claim(window: Window) -> None:
    page = window.go("/claim")
    page.get_by_text(EXAMPLES[2]).first.click()
    window.settle()
    expect(page.get_by_label("The claim, in words")).to_have_value(EXAMPLES[2])
    assert window.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_width_has_no_overflow(browser: Browser, server: str, scheme: str) -> None:
    window = Window(browser, server, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for name in PAGES:
        page = window.go(f"/{'' if name == 'plan' else name}")
        wide = page.evaluate(
            "() => [document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth)"
        )
        assert max(wide) <= 390, (name, wide)
    assert window.errors == []
    window.context.close()


def test_accessibility(window: Window) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="AXE SKIPPED: axe-playwright-python"
    ).Axe()
    found = []
    for name in ("plan", "memory", "cost", "claim"):
        page = window.go(f"/{'' if name == 'plan' else name}")
        result = axe.run(page)
        found += [
            (name, item["id"], [node["html"][:160] for node in item["nodes"]][:3])
            for item in result.response["violations"]
            if item["impact"] in ("serious", "critical")
        ]
    assert found == []
