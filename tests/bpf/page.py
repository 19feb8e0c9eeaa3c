# SPDX-License-Identifier: Apache-2.0
"""The page in Chromium. page.py URL COMMAND FOLDER: COMMAND sends one flow, 10.1.0.1 -> 10.1.0.2:4711,
for some seconds; screenshots go to FOLDER. Says what it saw, and fails with the first that is wrong."""
import os
import shlex
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from browser import browser, check_labels, check_silence, rows_of, updates_of, use_colours, wait  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

url, command, folder = sys.argv[1:4]


def main():
    page = browser(folder + "/profile")
    try:
        check(page)
    finally:
        page.quit()


def check(page):
    script = page.execute_script
    rows = lambda: rows_of(page)
    updates = lambda: updates_of(page)
    page.get(url)
    wait(20, "two answers", lambda: updates() >= 2)
    health = page.find_element(By.ID, "health").text
    print("health:", health)
    assert "All collectors succeed." in health, health
    assert "Packets come by netfilter-link, without the module nfbpf." in health, health

    # A flow that begins now is on top after the next answer, which is asked for every two seconds.
    flow = subprocess.Popen(shlex.split(command))
    before = updates()
    wait(30, "the flow on top", lambda: rows() and rows()[0].startswith("10.1.0.1 10.1.0.2 ") and " 0 B/s" not in rows()[0])
    print(f"the flow is on top after {updates() - before} answers: {rows()[0]}")
    assert updates() - before <= 3, "it took more answers than that"
    legend = lambda: script("return [...document.querySelectorAll('#legend tbody tr')].map(r => r.innerText.replace(/\\s+/g, ' '))")
    wait(30, "some of the chart", lambda: updates() - before >= 8)
    print("chart by pair:", legend())
    assert legend()[0].startswith("10.1.0.1 → 10.1.0.2 "), legend()
    for by, first in (("protocol", "udp "), ("direction", "out "), ("group pair", "here → peer ")):
        page.find_element(By.XPATH, f"//div[@class='chart']/preceding::input[@value='{by}']").send_keys(Keys.SPACE)
        print(f"chart by {by}:", legend())
        assert legend()[0].startswith(first), legend()
    page.find_element(By.CSS_SELECTOR, "#chart-by input[value=pair]").send_keys(Keys.SPACE)
    script("document.activeElement.blur()")
    time.sleep(float(os.environ.get("NFBPF_PICTURE_SECONDS", 0)))
    page.save_screenshot(folder + "/light.png")
    use_colours(page, "dark")
    page.save_screenshot(folder + "/dark.png")
    use_colours(page, "")

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

    check_labels(page)
    check_silence(page)
    flow.terminate()
    print("console: nothing")


main()
