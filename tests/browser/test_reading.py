import re

import pytest
from playwright.sync_api import expect

LIGHT, DARK = "rgb(255, 255, 255)", "rgb(16, 19, 23)"

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = ["/", "/weeks/2025-W52", "/trending", "/board", "/methods", "/methods/data-diet", "/judging", "/search",
         "/search?q=wrong+labels", "/search?q=zzzqqq", "/subscribe", "/papers/data-diet", "/papers/t1", "/runs",
         "/sign-in", "/days/2020-01-01", "/nothing-here", "/topics/generalisation", "/api/v1/docs"]  # fmt: skip


def serious(page):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {v['help']} at {[n['target'] for n in v['nodes']][:3]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_accessible_and_fits_a_small_phone(site, open_page, screens, path, scheme):
    page = open_page(site.url + path, color_scheme=scheme, viewport={"width": 1280, "height": 900}, bypass_csp=True)
    assert serious(page) == []
    name = re.sub(r"\W+", "-", path).strip("-") or "today"
    if screens:
        page.screenshot(path=screens / f"{name}-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    if screens and scheme == "light":
        page.screenshot(path=screens / f"{name}-phone.png", full_page=True)


def test_a_half_remembered_phrase_finds_the_paper_and_what_held(site, open_page):
    page = open_page(site.url)
    page.get_by_role("searchbox").fill("which training images can be thrown away early")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search*")
    first = page.locator(".feed .title").all()[:3]  # a phrase of everyday words fits others, too
    found = next(title for title in first if "Data Diet" in title.inner_text())
    found.get_by_role("link").click()
    assert page.get_by_role("heading", level=1).inner_text().startswith("Deep Learning on a Data Diet")
    claims = page.locator("article.claim")
    assert claims.count() == 8
    assert "Not reproduced" in page.locator("#C3").inner_text()
    assert "outside the region" in page.locator("#C3 svg[role=img]").first.get_attribute("aria-label")
    for claim in claims.all():
        assert "Rule" in claim.inner_text()


def test_everything_can_be_read_without_javascript(site, open_page):
    page = open_page(site.url, java_script_enabled=False)
    page.get_by_role("link", name="Week").click()
    assert page.get_by_role("heading", level=1).inner_text() == "22 to 28 December 2025"
    page.get_by_role("link", name="newest").click()
    published = [t.get_attribute("datetime") for t in page.locator(".feed .by time").all()]
    assert len(published) == 30
    assert published == sorted(published, reverse=True)
    page.get_by_role("link", name="Board").click()
    assert page.locator("table.board tbody tr").count() >= 36
    page.get_by_role("searchbox").fill("step law")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**/search*")
    assert page.locator(".feed .title").count() >= 1
    page.get_by_role("button", name="dark").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_the_keyboard_is_enough(site, open_page):
    page = open_page(site.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("j")
    page.keyboard.press("j")
    titles = page.locator(".feed .title a")
    second = titles.nth(1).inner_text()
    assert page.evaluate("document.activeElement.textContent") == second
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.textContent") == titles.nth(0).inner_text()
    page.keyboard.press("/")
    page.keyboard.type("jk?")  # typed, not obeyed
    assert page.get_by_role("searchbox").input_value() == "jk?"
    page.locator("body").press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_text("next paper").is_visible()
    dialog.get_by_role("button", name="Switch keys off").click()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") != titles.nth(1).inner_text()


def test_the_focus_is_visible_and_reduced_motion_is_kept(site, open_page):
    page = open_page(site.url, reduced_motion="reduce")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert style not in ("none", "")


def test_the_theme_follows_the_system_until_one_is_chosen(site, open_page):
    page = open_page(site.url, color_scheme="dark")
    expect(page.locator("body")).to_have_css("background-color", DARK)
    page.get_by_role("button", name="light").click()
    expect(page.locator("body")).to_have_css("background-color", LIGHT)
    page.goto(site.url + "/board")
    expect(page.locator("body")).to_have_css("background-color", LIGHT)
    page.get_by_role("button", name="system").click()
    expect(page.locator("body")).to_have_css("background-color", DARK)


def test_the_first_view_is_light_and_two_requests_block(site, open_page):
    page = open_page("about:blank")
    sizes, kinds = [], []

    def count(response):
        sizes.append(response.request.sizes()["responseBodySize"] + response.request.sizes()["responseHeadersSize"])
        kinds.append(response.request.resource_type)

    page.on("requestfinished", lambda request: count(request.response()))
    page.goto(site.url, wait_until="networkidle")
    assert sum(sizes) <= 60_000, sizes
    assert kinds.count("document") + kinds.count("stylesheet") == 2  # scripts are modules and wait
