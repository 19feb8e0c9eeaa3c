# SPDX-License-Identifier: Apache-2.0
"""The page in Chromium. page.py URL COMMAND FOLDER: COMMAND sends one flow, 10.1.0.1 -> 10.1.0.2:4711,
for some seconds; screenshots go to FOLDER. Says what it saw, and fails with the first that is wrong."""
import shlex
import subprocess
import sys
import time

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

url, command, folder = sys.argv[1:4]


def browser(profile):
    options = Options()
    # Chromium's own calls home are refused on a machine without the outside, many at a time.
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--window-size=1280,860", "--force-color-profile=srgb", "--user-data-dir=" + profile):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = "/usr/bin/chromium"
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def wait(seconds, what, look):
    end = time.monotonic() + seconds
    seen = None
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(0.1)
    raise SystemExit(f"FAILED: {what}: not seen in {seconds} s")


def main():
    page = browser(folder + "/profile")
    try:
        check(page)
    finally:
        page.quit()


def check(page):
    script = page.execute_script
    rows = lambda: script("return [...document.querySelectorAll('#rows tr')].map(r => r.innerText.replace(/\\s+/g, ' '))")
    updates = lambda: int(script("return document.body.dataset.updates ?? 0"))
    page.get(url)
    wait(20, "two answers", lambda: updates() >= 2)
    health = page.find_element(By.ID, "health").text
    print("health:", health)
    assert "All collectors succeed." in health, health

    # A flow that begins now is on top after the next answer, which is asked for every two seconds.
    flow = subprocess.Popen(shlex.split(command))
    before = updates()
    wait(30, "the flow on top", lambda: rows() and rows()[0].startswith("10.1.0.1 10.1.0.2 ") and " 0 B/s" not in rows()[0])
    print(f"the flow is on top after {updates() - before} answers: {rows()[0]}")
    assert updates() - before <= 3, "it took more answers than that"
    wait(10, "the chart", lambda: (script("return document.getElementById('line').getAttribute('d')") or "").count("L") >= 2)
    page.save_screenshot(folder + "/light.png")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    page.save_screenshot(folder + "/dark.png")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    # By keyboard alone: to the filter, a word, and all that is left has it.
    total = len(rows())
    filter_box = page.find_element(By.ID, "filter")
    filter_box.send_keys("10.77.0.1")
    wait(5, "the filter", lambda: rows() and len(rows()) < total and all("10.77.0.1" in row for row in rows()))
    print(f"filtered: {page.find_element(By.ID, 'status').text}")
    filter_box.send_keys(Keys.CONTROL, "a")
    filter_box.send_keys("no such thing")
    wait(5, "nothing left", lambda: rows() == ["Nothing matches the filter."])
    filter_box.send_keys(Keys.CONTROL, "a")
    filter_box.send_keys(Keys.DELETE)
    for by in ("protocol", "direction"):
        button = page.find_element(By.XPATH, f"//div[@id='by']/button[text()='{by}']")
        button.send_keys(Keys.ENTER)
        assert button.get_attribute("aria-pressed") == "true"
        print(f"by {by}: {rows()}")
    page.find_element(By.XPATH, "//div[@id='by']/button[text()='pair']").send_keys(Keys.SPACE)

    # Ten thousand pairs: what is in the document stays small.
    pairs = script("return document.getElementById('status').textContent")
    shown = len(rows())
    times = []
    for _ in range(4):
        seen = updates()
        wait(10, "another answer", lambda: updates() > seen)
        times.append(float(script("return document.body.dataset.updateMs")))
    print(f"{pairs}; an update takes {sorted(times)[len(times) // 2]} ms (median of {len(times)})")
    assert int(pairs.split()[0]) >= 10000 and shown <= 100, (pairs, shown)

    # What a screen reader has of it.
    assert script("return document.documentElement.lang") == "en"
    assert script("return [...document.querySelectorAll('#head th')].every(h => h.scope === 'col')")
    assert script("return [...document.querySelectorAll('input, select')].every(f => f.labels.length === 1)")
    assert script("return [...document.querySelectorAll('button')].every(b => b.innerText.trim() !== '' || b.hidden)")
    # Nothing from elsewhere, nothing the policy had to stop.
    elsewhere = script("return performance.getEntriesByType('resource').map(r => r.name).filter(n => !n.startsWith(location.origin))")
    assert elsewhere == [], elsewhere
    said = page.get_log("browser")
    assert said == [], said
    flow.terminate()
    print("console: nothing")


main()
