# SPDX-License-Identifier: Apache-2.0
"""Chromium for the tests of the page."""
import time

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


def browser(profile):
    options = Options()
    # Chromium's own calls home are refused on a machine without the outside, many at a time.
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--window-size=1280,1000", "--force-color-profile=srgb", "--user-data-dir=" + profile):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = "/usr/bin/chromium"
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def wait(seconds, what, look):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(0.1)
    raise SystemExit(f"FAILED: {what}: not seen in {seconds} s")


def use_colours(page, scheme):
    """light or dark; empty: as the machine has it."""
    features = [{"name": "prefers-color-scheme", "value": scheme}] if scheme else []
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def rows_of(page):
    return page.execute_script(
        "return [...document.querySelectorAll('#rows tr')].map(r => r.innerText.replace(/\\s+/g, ' '))")


def updates_of(page):
    return int(page.execute_script("return document.body.dataset.updates ?? 0"))


def check_silence(page):
    """Nothing from elsewhere, nothing that the policy had to stop, nothing said on the console."""
    elsewhere = page.execute_script(
        "return performance.getEntriesByType('resource').map(r => r.name).filter(n => !n.startsWith(location.origin))")
    assert elsewhere == [], elsewhere
    said = page.get_log("browser")
    assert said == [], said


def check_labels(page):
    """What a screen reader has of it."""
    script = page.execute_script
    assert script("return document.documentElement.lang") == "en"
    assert script("return [...document.querySelectorAll('thead th')].every(h => h.scope === 'col' && h.innerText.trim() !== '' || h.querySelector('.hidden'))")
    assert script("return [...document.querySelectorAll('input, select')].every(f => f.labels.length === 1)")
    assert script("return [...document.querySelectorAll('button')].every(b => b.innerText.trim() !== '' || b.hidden)")
    assert script("return [...document.querySelectorAll('table')].every(t => t.caption.textContent.trim() !== '')")
