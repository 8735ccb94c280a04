#!/usr/bin/python3
"""The console in a browser: a key that is held up by a poison event is seen, understood, mended and running again, without a terminal.
Pictures are kept in the folder that COMMITRELAY_PICTURES names.

    console_browser.py [NAME...]     only these checks
"""
import json
import os
import re
from pathlib import Path

from support.arrivals import ids, lines, wait_ids
from support.browser import Browser
from support.cases import case, main
from support.proc import check, check_equal, tempdir, wait_for
from support.relaying import admin, config, daemon, pipeline
from support.shop import SqliteShop

TOKEN = "t0ken-t0ken-t0ken-t0ken"
MARKUP = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>"


class Desk:
    """A relay that parks the key of an event whose topic is not allowed, and a browser."""

    def __init__(self, d):
        self.dir, self.shop, self.listen = d, SqliteShop(d), admin()
        token = d / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        p = pipeline(self.shop.source(), topic="shop.{aggregatetype}", name="orders", poison="park_key", route={"allow_topics": ["shop.order"]})
        self.relay = daemon(config(d, p, admin={"listen": self.listen, "actions": True, "token_file": str(token)}))
        self.relay.wait_log("state running")
        self.browser = Browser()
        self.browser.screen(1200, 900)
        self.pictures = Path(os.environ.get("COMMITRELAY_PICTURES") or d)
        self.pictures.mkdir(parents=True, exist_ok=True)

    def picture(self, name):
        self.browser.picture(self.pictures / f"{name}.png")

    def end(self):
        b, origin = self.browser, f"http://{self.listen}/"
        outside = [u for u in b.requests if not u.startswith((origin, "data:", "about:"))]
        check_equal(outside, [], "what the page loaded from elsewhere")
        check_equal([e for e in b.errors if "401" not in e], [], "errors of the page")
        b.close()
        check_equal(self.relay.stop(), 0, "exit code")


@case
def a_poison_event_is_mended(d):
    k = Desk(d)
    b = k.browser
    payload = json.dumps({"v": MARKUP}) + "\r\n"  # a field of a browser changes this line end
    k.shop.insert(1, key=MARKUP, topic="odd", payload=payload)
    k.shop.insert(2, key=MARKUP)
    b.open(f"http://{k.listen}/")
    b.read("1 keys parked")
    k.picture("1-list")
    b.write("#token", TOKEN)
    b.click("#token-use")
    b.read("the token is accepted")
    b.click("a", "orders")
    b.read("shop.odd")  # the reason names the topic
    b.read("Parked keys: " + MARKUP)
    k.picture("2-pipeline")
    b.click("button[aria-label='show dead letter 1']")
    b.see("document.querySelector('dialog').open", "the dialog")
    b.see(f"document.querySelector('#edit-payload').value.includes({json.dumps(json.dumps(MARKUP)[1:-1])})", "the payload")
    check(b.js("document.querySelector('#edit-payload').readOnly"), "a payload that the page would change can be changed")
    k.picture("3-dead-letter")
    b.write("#edit-topic", "shop.order")
    b.click("dialog button", "Save the edit")
    b.read("is edited; a retry sends it so")
    b.read("(edited)")  # the list is the new one
    check_equal(ids(k.relay), [], "before the retry")
    b.click("button[aria-label='show dead letter 1']")
    b.click("dialog button", "Retry")
    b.read("There are none.")
    wait_ids(lambda: ids(k.relay), k.shop.ids)
    check_equal(ids(k.relay), k.shop.ids, "in the order of the key")
    check_equal(lines(k.relay)[0]["payload"], payload, "byte for byte")
    check_equal(b.js("[window.hacked, document.images.length]"), [None, 0], "markup of an event")
    k.picture("4-mended")
    k.end()


@case
def by_keyboard_and_on_a_phone(d):
    k = Desk(d)
    b = k.browser
    k.shop.insert(3)
    b.screen(390, 800, dark=True)
    b.open(f"http://{k.listen}/#/p/orders")
    b.read("● running")
    _all_named(b, "without the token")
    b.write("#token", TOKEN)
    b.press("Enter", number=13)
    b.read("the token is accepted")
    for word, state in (("Pause", "‖ paused"), ("Resume", "● running")):
        b.js("document.querySelector('main').focus()")
        for _ in range(20):
            b.press("Tab", number=9)
            if b.js("document.activeElement.textContent") == word:
                break
        check_equal(b.js("document.activeElement.textContent"), word, "where Tab leads")
        b.press("Enter", number=13)
        b.read(state)
    k.picture("5-phone-dark")
    for view, title in (("#/p/orders", "orders"), ("#/", "Pipelines"), ("#/log", "The last"), ("#/config", "Configuration"), ("#/check", "Check")):
        b.open(f"http://{k.listen}/{view}")
        b.see(f"document.querySelector('main h2').innerText.startsWith('{title}')", view)
        check(b.js("document.documentElement.scrollWidth <= 390"), f"{view} is wider than a phone")
        _all_named(b, view)
    check_equal(b.js("document.querySelectorAll('h1').length"), 1, "headings of the first level")
    for dark in (False, True):
        b.screen(1200, 900, dark)
        for name in ("text", "soft", "good", "wait", "bad", "link"):
            check(_contrast(b, name) >= 4.5, f"--{name} on --back, dark: {dark}: {_contrast(b, name):.1f}")
    k.end()


def _all_named(browser, where):
    roles = ("button", "link", "textbox", "checkbox", "image")
    check_equal([r for r in browser.spoken() if r[0] in roles and not r[1].strip()], [], f"{where}: what a screen reader has no name for")


def _luminance(color):
    if len(color) == 4:
        color = "#" + "".join(c * 2 for c in color[1:])
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _contrast(browser, name):
    """Of text with the background, as WCAG counts it."""
    def one(n):
        color = browser.js(f"getComputedStyle(document.documentElement).getPropertyValue('--{n}').trim()")
        check(re.fullmatch(r"#[0-9a-f]{3}|#[0-9a-f]{6}", color), f"--{n} is {color}")
        return _luminance(color)
    a, b = one(name), one("back")
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


@case
def a_relay_that_ends_is_noticed(d):
    k = Desk(d)
    b = k.browser
    b.open(f"http://{k.listen}/")
    b.read("live")
    wait_for(lambda: "● running" in b.js("document.body.innerText"), 15, "the state")
    k.relay.kill9()
    b.read("not connected")
    b.close()


main(lambda: tempdir("browser-case"))
