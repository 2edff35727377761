import time

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def start(page, desk, slug="step-law", scale="smoke"):
    page.goto(f"{desk.url}/papers/{slug}")
    page.locator("#scale").select_option(scale)
    page.locator("#run").get_by_role("button").click()


def test_run_a_paper_from_its_page_and_watch_it_finish(desk, open_page):
    page = open_page(desk.url)
    start(page, desk)
    page.wait_for_selector("[data-run] progress, [data-request]", timeout=20_000)
    page.reload()  # whoever comes back sees it go on
    page.wait_for_selector("text=/^Done/", timeout=120_000)
    page.goto(f"{desk.url}/runs?paper=step-law")
    assert page.locator("table tbody tr").count() == 2  # the shipped evidence, and this one


def test_a_run_can_be_followed_without_javascript(desk, open_page):
    page = open_page(desk.url, java_script_enabled=False)
    start(page, desk, "matrix-sensing")
    end = time.monotonic() + 120
    while time.monotonic() < end:
        page.goto(f"{desk.url}/runs?paper=matrix-sensing")
        if "Done" in page.locator("table tbody tr").first.inner_text():
            break
        time.sleep(1)
    assert "Done" in page.locator("table tbody tr").first.inner_text()


def test_the_page_recovers_when_server_and_worker_die(desk, open_page):
    page = open_page(desk.url)
    start(page, desk, "matrix-sensing", "laptop")  # long enough to be killed in the middle
    page.wait_for_selector("[data-run] progress", timeout=60_000)
    desk.kill()
    desk.start()
    page.goto(f"{desk.url}/papers/matrix-sensing")
    end = time.monotonic() + 150
    while time.monotonic() < end:
        page.goto(f"{desk.url}/runs?paper=matrix-sensing")
        first = page.locator("table tbody tr").first.inner_text()
        if "Done" in first:
            break
        time.sleep(1)
    assert "Done" in first
    assert page.locator("table tbody tr").count() == 2  # the shipped evidence, and one run that went on


def test_readers_may_not_start_runs(site, open_page):
    page = open_page(f"{site.url}/papers/step-law")
    assert page.locator("#run").get_by_role("button").count() == 0
    answer = page.request.post(
        f"{site.url}/papers/step-law/runs", form={"scale": "smoke"}, headers={"Origin": site.url}
    )
    assert answer.status in (401, 403) or "/sign-in" in answer.url
