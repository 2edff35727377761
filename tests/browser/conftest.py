"""A real site with its worker, a real mail server, and Debian's Chromium."""

import email
import email.policy
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mailbox:
    """What the mail server took."""

    def __init__(self):
        self.messages = []

    async def handle_DATA(self, server, session, envelope):
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"

    def wait(self, number, seconds=10):
        end = time.monotonic() + seconds
        while len(self.messages) < number and time.monotonic() < end:
            time.sleep(0.05)
        assert len(self.messages) >= number, "no mail came"
        return self.messages[number - 1]


@pytest.fixture(scope="session")
def mail_server():
    from aiosmtpd.controller import Controller

    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, controller.port
    controller.stop()


@pytest.fixture
def mailbox(mail_server):
    mail_server[0].messages.clear()
    return mail_server[0]


class Site:
    """A server process."""

    def __init__(self, folder, *options, **environment):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.options = options
        self.environment = {
            **os.environ,
            "OVERPARAM_CACHE": str(folder / "cache"),
            "OVERPARAM_DATABASE_URL": f"sqlite:///{folder / 'ledger.sqlite3'}",
            "OVERPARAM_SECRET_FILE": str(folder / "secret"),
            "OVERPARAM_OUTBOX": str(folder / "outbox"),
            "OVERPARAM_SITE_URL": self.url,
            **environment,
        }
        self.log = folder / "log"
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "overparam", "serve", "--port", str(self.port), *self.options]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment, start_new_session=True
            )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/health/live", timeout=2):
                    return self
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def kill(self):
        """End the server as if the power had gone; its worker is left to notice."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)

    def overparam(self, *words):
        return subprocess.run(
            [sys.executable, "-m", "overparam", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture(scope="session")
def site(tmp_path_factory, mail_server):
    """A site for readers: nobody is signed in, mail goes to a real server."""
    folder = tmp_path_factory.mktemp("site")
    running = Site(folder, OVERPARAM_SMTP_URL=f"smtp://127.0.0.1:{mail_server[1]}").start()
    yield running
    running.stop()


@pytest.fixture
def desk(tmp_path):
    """A site for the person at the desk."""
    running = Site(tmp_path, "--local").start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        message = "Chromium is not installed: apt-get install chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Open pages; a script error or a broken security policy fails the test."""
    contexts, faults = [], []

    def opened(url, **options):
        context = chromium.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not faults


def link_in(message):
    """Return the first link of a mail's text part."""
    return re.search(r"http\S+", message.get_body(("plain",)).get_content()).group()


@pytest.fixture(scope="session")
def links():
    return link_in


@pytest.fixture(scope="session")
def screens():
    """Where pictures go for a person to look at; unset, none are taken."""
    folder = os.environ.get("OVERPARAM_SCREENS")
    return Path(folder) if folder else None
