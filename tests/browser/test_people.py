import datetime
import json
import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_subscribe_confirm_digest_and_one_click_off(site, mailbox, links, open_page):
    page = open_page(site.url)
    page.get_by_role("link", name="Subscribe").click()
    page.get_by_label("E-mail address").fill("reader@example.org")
    page.get_by_role("button", name="Subscribe").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Check your mail"
    asked = mailbox.wait(1)
    page.goto(links(asked))
    assert "reader@example.org" in page.locator("main").inner_text()
    page.get_by_role("button", name="Yes, subscribe").click()
    assert page.get_by_role("heading", level=1).inner_text() == "You are in"

    later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)).isoformat()
    _verdicts_fall_now(site)
    done = site.overparam("digest", "--now", later)
    assert done.returncode == 0, done.stderr
    digest = mailbox.wait(2)
    assert "verdict" in digest["Subject"]
    assert digest["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    again = site.overparam("digest", "--now", later)
    assert again.returncode == 0
    assert len(mailbox.messages) == 2  # nobody gets a digest twice

    way_out = re.search(r"<(http[^>]+)>", digest["List-Unsubscribe"]).group(1)
    answer = page.request.post(way_out, form={"List-Unsubscribe": "One-Click"}, headers={"Accept": "*/*"})
    assert answer.ok
    page.goto(way_out)
    assert "Stopped" in page.locator("main").inner_text()


def _verdicts_fall_now(site):
    done = site.overparam("run", "toy", "--scale", "smoke", "--json")
    assert json.loads(done.stdout)["verdicts"], done.stderr


def test_an_address_without_an_at_is_explained_and_kept(site, open_page):
    page = open_page(site.url + "/subscribe", java_script_enabled=False)
    page.locator("#email").evaluate("e => e.type = 'text'")
    page.get_by_label("E-mail address").fill("you.example.org")
    page.get_by_label("Scaling").check()
    page.get_by_role("button", name="Subscribe").click()
    assert "you.example.org" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("E-mail address").input_value() == "you.example.org"
    assert page.get_by_label("Scaling").is_checked()


def test_sign_in_by_mail_and_vote(site, mailbox, links, open_page):
    page = open_page(site.url)
    page.locator(".vote").first.click()
    page.wait_for_url("**/sign-in*")
    page.get_by_label("E-mail").fill("voter@example.org")
    page.locator("main").get_by_role("button").click()
    page.goto(links(mailbox.wait(1)))
    page.locator("main").get_by_role("button").click()
    page.goto(site.url)
    vote = page.locator(".vote").first
    assert vote.get_attribute("aria-pressed") == "false"
    vote.click()
    expect(vote).to_have_attribute("aria-pressed", "true")
    assert vote.inner_text().strip() == "1"
    page.reload()
    assert page.locator(".vote[aria-pressed=true]").count() == 1
    page.locator(".vote[aria-pressed=true]").click()
    expect(page.locator(".vote[aria-pressed=true]")).to_have_count(0)
    page.locator(".foot a[href='/account']").click()
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_role("link", name="Sign in").count() >= 1


def test_voting_works_without_javascript(desk, open_page):
    page = open_page(desk.url, java_script_enabled=False)
    page.locator(".vote").first.click()
    assert page.locator(".vote[aria-pressed=true]").count() == 1
    page.locator(".vote[aria-pressed=true]").click()
    assert page.locator(".vote[aria-pressed=true]").count() == 0
