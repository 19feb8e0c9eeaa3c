# SPDX-License-Identifier: Apache-2.0
"""The page in Chromium over answers that this test makes up, one at a time: what it makes of rows that
leave, of a collector that fails, of numbers that no double holds, of ten thousand pairs that are all
busy. page.py URL FOLDER; the page over live traffic is tests/bpf/page.py."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from browser import browser, check_labels, check_silence, rows_of, updates_of, use_colours, wait  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

url, folder = sys.argv[1:3]

# Each question waits until the test gives it an answer, and the next comes at once.
INTERCEPT = """
const later = window.setTimeout;
window.setTimeout = (what, ms) => later(what, ms >= 500 ? 5 : ms);
let waiting = null;
window.fetch = () => new Promise((resolve, reject) => { waiting = { resolve, reject }; });
window.give = (text, status, done) => {
  if (waiting === null) return later(() => window.give(text, status, done), 5);
  const { resolve, reject } = waiting;
  waiting = null;
  if (status === 0) reject(new TypeError('refused'));
  else resolve({ ok: status === 200, status, statusText: 'so', text: async () => text });
  later(done, 60);
};
"""
GROUPED = ["direction", "protocol", "source", "source_group", "destination", "destination_group"]
COUNTERS = [{"name": name, "unit": "count", "type": "counter"} for name in ("packets", "bytes")]
OK = [{"level": "ok", "text": "All collectors succeed."}]


def table(rows, name="nfbpf_ipv4", labels=GROUPED, **more):
    return {"map": name, "family": "nfbpf_source_destination", "labels": labels, "counters": COUNTERS,
            "row_count": len(rows), "rows": rows, **more}


def other(rows, name="nfbpf_ipv4"):
    return table(rows, name, sorted(GROUPED), other_by=["direction"])


def pair(source, destination, bytes_, protocol="udp", direction="out", packets=1, groups=("lan", "external")):
    return [direction, protocol, source, groups[0], destination, groups[1], packets, bytes_]


def rest(bytes_, direction="out"):  # labels in alphabetical order
    return ["other", "other", direction, "other", "other", "other", 1, bytes_]


class Page:
    def __init__(self, driver):
        self.driver = driver
        self.script = driver.execute_script
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": INTERCEPT})

    def open(self):
        self.driver.get(url)

    def give(self, time, *tables, up=True, health=None):
        origin = {"datapath": {"name": "kmod", "reason": "the module counts in every network namespace"},
                  "program": {"name": "nfbpf_traffic", "id": "7", "tag": "abcd", "object": "o", "loaded_at": 1}}
        answer = {"time": time, "version": "1", "up": up, "health": health or OK, "tables": list(tables), **(origin if tables else {})}
        before = updates_of(self.driver)
        self.driver.execute_async_script("give(arguments[0], 200, arguments[1])", json.dumps(answer))
        assert updates_of(self.driver) == before + 1, "the answer is not shown"

    def refuse(self, status):
        self.driver.execute_async_script("give('', arguments[0], arguments[1])", status)

    def rates(self):
        """Rates of the table's rows by what they are called."""
        found = {}
        for row in self.script("return [...document.querySelectorAll('#rows tr')].map(r => [...r.cells].map(c => c.innerText))"):
            found[" ".join(row[:-4])] = row[-4]
        return found

    def legend(self):
        return {row[0]: row[1:] for row in self.script(
            "return [...document.querySelectorAll('#legend tbody tr, #legend tfoot tr')].map(r => [...r.cells].map(c => c.innerText))")}

    def text(self, name):
        return self.script("return document.getElementById(arguments[0]).textContent", name)

    def stale(self):
        return self.script("return document.body.classList.contains('stale')"), self.text("stale")

    def button(self, within, text):
        return self.driver.find_element(By.XPATH, f"//*[@id='{within}']//button[text()='{text}']")


def expect(what, seen, wanted):
    if seen != wanted:
        raise SystemExit(f"FAILED: {what}: {seen} instead of {wanted}")


def rows_that_leave(page):
    """What had been counted of a row is no traffic of `other`; what was counted since is."""
    page.open()
    v6 = ("nfbpf_ipv6",)
    page.give(100, table([pair("10.0.0.1", "10.0.0.2", 4_000_000), pair("10.0.0.3", "10.0.0.4", 500, direction="in")]),
              other([rest(70_000), rest(9_000, "in")]), table([pair("::1", "::2", 10)], *v6), other([rest(2_000_000)], *v6))
    page.give(102, table([pair("10.0.0.3", "10.0.0.4", 700, direction="in")]),
              other([rest(4_070_300), rest(9_000, "in")]), table([pair("::1", "::2", 30)], *v6), other([rest(2_000_004)], *v6))
    expect("rates when a row left", page.rates(),
           {"other other": "152 B/s", "10.0.0.3 10.0.0.4": "100 B/s", "::1 ::2": "10 B/s"})
    expect("throughput when a row left", page.text("total"), "262 B/s")
    # The other way round it begins at 0, and `other` keeps what it had.
    page.give(104, table([pair("10.0.0.3", "10.0.0.4", 700, direction="in"), pair("10.0.0.1", "10.0.0.2", 50)]),
              other([rest(4_070_300), rest(9_000, "in")]), table([pair("::1", "::2", 30)], *v6), other([rest(2_000_004)], *v6))
    expect("rates when it is back", page.rates(),
           {"10.0.0.1 10.0.0.2": "25 B/s", "other other": "0 B/s", "10.0.0.3 10.0.0.4": "0 B/s", "::1 ::2": "0 B/s"})
    # Less than what left: the rows were removed by somebody else.
    page.give(106, table([]), other([rest(4_070_301), rest(9_000, "in")]), table([], *v6), other([rest(2_000_004)], *v6))
    expect("rates when rows vanished", page.rates(), {"other other": "0 B/s"})
    # `other` that was not there before began at 0.
    page.open()
    page.give(100, table([pair("10.0.0.1", "10.0.0.2", 1000), pair("10.0.0.5", "10.0.0.2", 3000)]))
    page.give(102, table([pair("10.0.0.5", "10.0.0.2", 3000)]), other([rest(1240)]))
    expect("the first of other", page.rates(), {"other other": "120 B/s", "10.0.0.5 10.0.0.2": "0 B/s"})


def numbers_that_no_double_holds(page):
    page.open()
    page.give(100, table([pair("10.0.0.1", "10.0.0.2", "9007199254740993")]))
    page.give(102, table([pair("10.0.0.1", "10.0.0.2", "9007199254740999")]))
    expect("a rate of large numbers", page.rates(), {"10.0.0.1 10.0.0.2": "3 B/s"})


def failures(page):
    """A collector that fails, an exporter that is gone, a clock that is set back."""
    page.open()
    gone = [{"level": "error", "text": "Collector maps: nothing is loaded; run nfbpf-load"}]
    for time in (90, 92, 94):
        page.give(time, up=False, health=gone)
        expect("nothing to be stale", page.stale(), (False, ""))
    expect("no rows", rows_of(page.driver), ["No rows yet."])
    check_labels(page.driver)
    one = lambda bytes_: table([pair("10.0.0.1", "10.0.0.2", bytes_)])
    page.give(100, one(10 ** 9))
    page.give(102, one(10 ** 9 + 2000))
    expect("not stale", page.stale(), (False, ""))
    broken = [{"level": "error", "text": "Collector maps: map x: I/O error"}]
    page.give(104, up=False, health=broken)
    health = page.driver.find_element(By.ID, "health").text
    assert "Error: Collector maps: map x: I/O error" in health and "succeed" not in health, health
    expect("what cannot be known", (page.text("datapath"), page.text("program")), ("not known now",) * 2)
    is_stale, words = page.stale()
    assert is_stale and words.startswith("Numbers are those of "), words
    expect("rows while a collector fails", page.rates(), {"10.0.0.1 10.0.0.2": "1.0 kB/s"})
    page.give(112, one(10 ** 9 + 22000))
    expect("stale when it is back", page.stale(), (False, ""))
    expect("the mean over the gap", page.rates(), {"10.0.0.1 10.0.0.2": "2.0 kB/s"})
    page.refuse(0)
    health = page.driver.find_element(By.ID, "health").text
    assert "Error: The exporter does not answer: refused" in health, health
    assert page.stale()[0]
    assert page.text("datapath").startswith("kmod: "), page.text("datapath")
    page.refuse(503)
    assert "503" in page.driver.find_element(By.ID, "health").text
    page.give(114, one(10 ** 9 + 22010))
    expect("after it was gone", page.rates(), {"10.0.0.1 10.0.0.2": "5 B/s"})
    assert not page.stale()[0]
    page.give(50, one(10 ** 9 + 22020))
    expect("the clock set back", page.rates(), {"10.0.0.1 10.0.0.2": "0 B/s"})
    page.give(52, one(10 ** 9 + 22040))
    expect("and after", page.rates(), {"10.0.0.1 10.0.0.2": "10 B/s"})
    # A program that is swapped changes no health, and is told all the same.
    assert "id 7" in page.text("program")


def chart(page):
    page.open()
    pairs = lambda t: [pair(f"10.0.0.{i}", "192.0.2.1", (20 - i) * 1000 * t, ("udp", "tcp", "icmp")[i % 3],
                            ("in", "out")[i % 2], groups=(("lan", "dmz")[i % 2], "external")) for i in range(12)]
    for t in range(0, 40, 2):
        page.give(1000 + t, table(pairs(t)), other([rest(500 * t)]))
    radios = lambda: page.driver.find_elements(By.CSS_SELECTOR, "#chart-by input")
    expect("what the chart may be by", [r.get_attribute("value") for r in radios()],
           ["pair", "group pair", "protocol", "direction"])
    expect("and is by", [r.is_selected() for r in radios()], [True, False, False, False])
    areas = lambda: page.script("return [...document.querySelectorAll('#chart path')].map(p => p.getAttribute('class'))")
    expect("areas", len(areas()), 9)
    expect("colours of their own", len(set(areas())), 9)
    legend = page.legend()
    expect("the busiest", list(legend)[0], "10.0.0.0 → 192.0.2.1")
    expect("now, mean and peak of it", legend["10.0.0.0 → 192.0.2.1"], ["20.0 kB/s"] * 3)
    expect("everything else", legend["everything else"][0], "42.5 kB/s")  # 12 + 11 + 10 + 9 + other's 0.5
    expect("together", legend["together"][0], "175 kB/s")
    # By the keyboard, and each choice has had the whole time.
    radios()[0].send_keys(Keys.ARROW_RIGHT)
    expect("group pairs", {k: v[0] for k, v in page.legend().items()},
           {"lan → external": "90.0 kB/s", "dmz → external": "84.0 kB/s", "everything else": "500 B/s", "together": "175 kB/s"})
    radios()[1].send_keys(Keys.ARROW_RIGHT)
    expect("protocols", {k: v[0] for k, v in page.legend().items()},
           {"udp": "62.0 kB/s", "tcp": "58.0 kB/s", "icmp": "54.0 kB/s", "everything else": "500 B/s", "together": "175 kB/s"})
    assert page.script("return document.activeElement.value") == "protocol", "the focus is lost"
    page.give(1040, table(pairs(40)), other([rest(500 * 40)]))
    assert page.script("return document.activeElement.value") == "protocol", "the focus is lost by an update"
    radios()[2].send_keys(Keys.ARROW_RIGHT)
    expect("directions, with what other has of each", {k: v[0] for k, v in page.legend().items()},
           {"in": "90.0 kB/s", "out": "84.5 kB/s", "together": "175 kB/s"})
    title = page.text("chart-title")
    assert re.search(r"by direction, stacked. Now 175 kB/s. in: 90.0 kB/s, out: 84.5 kB/s", title), title
    box = page.driver.find_element(By.ID, "chart")
    assert box.size["height"] >= 150 and box.get_attribute("role") == "img"
    # Stacked: the highest point of the uppermost area is the sum, and none is outside of the picture.
    ys = page.script("return [...document.querySelectorAll('#chart path')].map(p => Math.min(...p.getAttribute('d').match(/,[-0-9.]+/g).map(t => Number(t.slice(1)))))")
    assert ys[1] < ys[0] and all(0 <= y <= 224 for y in ys), ys
    # The pointer tells of another time.
    head = lambda: page.script("return [...document.querySelectorAll('#legend thead th')].map(h => h.innerText)")
    ActionChains(page.driver).move_to_element_with_offset(box, box.size["width"] // 2 - 60, 0).perform()
    assert re.fullmatch(r"1[0-9] s ago", head()[1]), head()
    ActionChains(page.driver).move_to_element(page.driver.find_element(By.ID, "health")).perform()
    expect("the pointer elsewhere", head(), ["direction", "now", "mean", "peak"])
    for scheme in ("light", "dark"):
        use_colours(page.driver, scheme)
        paper, fills = page.script("return [getComputedStyle(document.querySelector('section')).backgroundColor, [...document.querySelectorAll('#chart path')].map(p => getComputedStyle(p).fill)]")
        assert paper not in fills and len(set(fills)) == len(fills), (scheme, paper, fills)
        radios()[0].click() if scheme == "light" else None
        page.driver.save_screenshot(f"{folder}/made-up-{scheme}.png")
    use_colours(page.driver, "")


def order(page):
    page.open()
    rows = lambda t: [pair("10.0.0.10", "10.0.0.1", 1000 * t, packets=1 * t), pair("10.0.0.2", "10.0.0.1", 3000 * t, packets=9 * t),
                      pair("10.0.0.9", "10.0.0.1", 2000 * t + 10 ** 7, packets=5 * t)]
    page.give(100, table(rows(1)))
    page.give(102, table(rows(3)))
    first = lambda: [row.split()[0] for row in rows_of(page.driver)]
    sorted_by = lambda: {h.text.strip(): h.get_attribute("aria-sort") for h in
                         page.driver.find_elements(By.CSS_SELECTOR, "#head th[aria-sort]")}
    expect("by rate", (first(), sorted_by()), (["10.0.0.2", "10.0.0.9", "10.0.0.10"], {"rate": "descending"}))
    page.button("head", "source").click()
    expect("by source", (first(), sorted_by()), (["10.0.0.2", "10.0.0.9", "10.0.0.10"], {"source": "ascending"}))
    page.button("head", "source").send_keys(Keys.ENTER)
    expect("by source, the other way", (first(), sorted_by()), (["10.0.0.10", "10.0.0.9", "10.0.0.2"], {"source": "descending"}))
    page.give(104, table(rows(5)))
    expect("the focus after an update", page.script("return document.activeElement.textContent"), "source")
    expect("the order after an update", first(), ["10.0.0.10", "10.0.0.9", "10.0.0.2"])
    page.button("head", "total").click()
    expect("by total", (first()[0], sorted_by()), ("10.0.0.9", {"total": "descending"}))
    page.button("head", "packets").click()
    page.button("head", "packets").click()
    expect("by packets, least first", (first(), sorted_by()), (["10.0.0.10", "10.0.0.9", "10.0.0.2"], {"packets": "ascending"}))
    expect("the caption", page.text("order"), "Rows by their packets, lowest first")
    page.button("head", "destination").click()
    page.button("by", "protocol").click()
    expect("a column that is gone", sorted_by(), {"rate": "descending"})
    box = page.driver.find_element(By.ID, "filter")
    page.button("by", "pair").click()
    box.send_keys("UDP 10.0.0.9")
    expect("the filter, whatever the case", first(), ["10.0.0.9"])
    wait(5, "what is said of the filter", lambda: page.text("said") == "1 row matches")
    page.give(106, table(rows(6)))
    live = "return [...document.querySelectorAll('[role=status], [aria-live], output')].map(e => e.id)"
    expect("what speaks by itself", sorted(page.script(live)), ["health", "said", "stale"])
    page.driver.set_window_size(420, 900)
    wide = page.script("return document.documentElement.scrollWidth")
    assert wide <= page.script("return innerWidth"), f"a small screen is {wide} pixels wide"
    page.driver.save_screenshot(f"{folder}/made-up-small.png")
    page.driver.set_window_size(1280, 1000)
    check_labels(page.driver)


def ten_thousand(page):
    """All of them busy, sorted by their names: the slowest that there is."""
    page.open()
    rows = lambda t: [pair(f"10.{i // 2500}.{i // 50 % 50}.{i % 50}", f"192.0.2.{i % 97}", (i + 1) * t, ("udp", "tcp")[i % 2],
                           ("in", "out")[i // 2 % 2], t) for i in range(10_000)]
    time = 98
    page.give(time, table(rows(time)), other([rest(1)]))
    for column in ("rate", "source"):
        page.button("head", column).click()
        for turn in range(3):
            times = []
            for _ in range(8):
                time += 2
                page.give(time, table(rows(time)), other([rest(time)]))
                times.append(float(page.script("return document.body.dataset.updateMs")))
            times.sort()
            # The slower ones waited for a processor, if the machine is busy with something else.
            print(f"10,000 busy pairs by {column}: an update takes {times[2]} ms, the third of {times}")
            if times[2] <= 100:
                break
        assert times[2] <= 100, "more than 100 ms"
    assert page.text("status").startswith("10001 rows, the first 100 shown"), page.text("status")


def main():
    driver = browser(folder + "/profile")
    try:
        page = Page(driver)
        for check in (rows_that_leave, numbers_that_no_double_holds, failures, chart, order, ten_thousand):
            check(page)
            print(f"ok: {check.__name__}")
        check_silence(driver)
        print("ok: console")
    finally:
        driver.quit()


main()
