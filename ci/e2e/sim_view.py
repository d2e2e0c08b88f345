"""The page of a simulated run's trace in a real browser: lanes, arrows, the filter, details, and
that 50,000 events do not freeze it. VIEW_SCREENSHOT=FILE keeps a picture of it.

Needs a program with the simulator in it: cargo build --release -p orrery --features sim"""

import os
import re
import subprocess
import tempfile
import time

from browser import Browser
from cluster import ORRERY

# A run with a cut, a crash and a pause while tasks run.
PLAN = """\
seed 1
masters 1
agents 3
framework launcher
framework killer
at 1s framework 0 launch 4 long
at 2s framework 1 launch 4 short 3s 0
at 4s cut master-0 agent-0 both-ways for 3s
at 6s pause agent-1 mesos-agent for 2s
at 7s framework 0 kill 1
at 9s crash agent-2 for 3s
at 10s kill scheduler-1 framework for 1s
at 12s framework 1 launch 4 short 1s 0
"""

# A bug that one of the first seeds finds.
BUG = "AcceptRecoversWholeOffer"

# What would break out of the page's data, of an attribute, or of the list.
NASTY = "</script><b id=nasty>x</b><!--\"'&{{data}}"


def orrery(*arguments, check=True):
    done = subprocess.run([ORRERY, "sim", *arguments], capture_output=True, check=check)
    return done.stdout.decode()


def eventful(folder):
    """The trace of a run in which enough goes wrong, and enough goes well before."""
    plan = os.path.join(folder, "run.plan")
    with open(plan, "w", encoding="utf-8") as file:
        file.write(PLAN)
    return orrery("trace", "--plan", plan)


def large(events):
    """A trace of many messages between many processes."""
    lines = [f"     0.000000 host-{host:<9}     - boot      id" for host in range(20)]
    lines += [f"     0.000000 host-{host:<9}  1000 start     daemon" for host in range(20)]
    for number in range((events - len(lines)) // 2):
        sent = number * 0.01
        text = f"PING channel-{number} {{\"task_id\":\"task-{number % 100}\"}}"
        lines.append(f"{sent:>13.6f} host-{number % 20:<9}  1000 send      {text}")
        lines.append(f"{sent + 0.004:>13.6f} host-{(number + 7) % 20:<9}  1000 receive   {text}")
    lines.append(f"{events:>6}.000000 world              - note      {NASTY}")
    return "\n".join(lines) + "\n"


def show(browser, folder, trace):
    path = os.path.join(folder, "run.trace")
    with open(path, "w", encoding="utf-8") as file:
        file.write(trace)
    page = os.path.join(folder, "run.html")
    with open(page, "w", encoding="utf-8") as file:
        file.write(orrery("view", path))
    browser.open(f"file://{page}?{time.monotonic()}")
    browser.wait("typeof page === 'object' && page.lanes.drawn.events > 0")


def frame(browser):
    """Waits until what was asked for is drawn."""
    browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def filter_for(browser, text):
    before = browser.run("document.getElementById('count').textContent")
    browser.run(f"""(() => {{
        const input = document.getElementById("filter");
        input.value = {text!r};
        input.dispatchEvent(new Event("input"));
    }})()""")
    browser.wait(f"document.getElementById('count').textContent !== {before!r}")
    frame(browser)


def details(browser):
    return browser.run("document.getElementById('details').innerText")


def a_run_is_shown(browser, folder):
    show(browser, folder, eventful(folder))
    names = browser.run("page.model.rows.filter((row) => row.slot < 0).map((row) => row.label)")
    assert {"master-0", "agent-0", "scheduler-0", "network"} <= set(names), names
    assert browser.run("page.lanes.drawn.arrows") > 50
    messages = browser.run("page.model.arrows.filter((one) => one.group === 'messages').length")
    received = browser.run("page.model.events.filter((one) => one.kind === 'receive').length")
    assert messages > 0.98 * received, (messages, received)
    assert browser.run("page.model.arrows.filter((one) => one.stop < one.start).length") == 0
    kinds = browser.run("[...new Set(page.model.spans.map((span) => span.kind))]")
    assert {"cut", "down", "pause"} <= set(kinds), kinds
    colors = browser.run("""(() => {
        const canvas = document.getElementById("lanes");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size;
    })()""")
    assert colors > 50, f"the lanes have {colors} colours"


def faults_do_not_hide_what_they_lie_over(browser):
    """However many faults of a kind there are at a time, a host is shaded for them once."""
    overlaps = browser.run("""(() => {
        const isSame = (one, other) => one.host === other.host && one.kind === other.kind;
        const meets = (one, other) => one.start <= other.stop && other.start <= one.stop;
        const { shades } = page.model;
        return shades.filter((one, index) => shades.slice(index + 1)
            .some((other) => isSame(one, other) && meets(one, other))).length;
    })()""")
    shades = browser.run("page.model.shades.length")
    assert shades > 0 and overlaps == 0, (shades, overlaps)


def a_run_that_failed_says_so(browser, folder):
    """Its page begins with the rule that was broken; a click shows what was the case then."""
    found = (orrery("trace", str(seed), "--plant", BUG, check=False) for seed in range(20))
    trace = next(trace for trace in found if " violation " in trace)
    last = trace.splitlines()[-1]
    assert " violation conservation: " in last, last
    show(browser, folder, trace)
    text = browser.run("document.getElementById('violation').textContent")
    assert "conservation: " in text and last.split("conservation: ")[1] in text, text
    browser.click("document.getElementById('violation')")
    frame(browser)
    text = details(browser)
    assert text.startswith("violation") and "Alive:" in text, text


def the_filter_finds_a_task(browser):
    filter_for(browser, "send STATUSUPDATE task-0-0")
    found = browser.run("page.view.listed.map((one) => `${one.kind} ${one.text}`)")
    assert found and all("task-0-0" in one and one.startswith("send") for one in found), found
    rows = browser.run("[...document.querySelectorAll('#list .row')].map((row) => row.textContent)")
    assert rows and all("send" in row for row in rows), rows
    browser.click("document.querySelector('#list .row')")
    frame(browser)
    text = details(browser)
    assert "task-0-0" in text and "Alive:" in text and "mesos-agent" in text, text
    selected = browser.run("page.view.selected.index")
    browser.click("document.getElementById('next')")
    assert browser.run("page.view.selected.index") > selected
    filter_for(browser, "")


def one_entity_can_be_looked_at(browser):
    """The choice offers tasks, agents and frameworks by name, and leaves what concerns them."""
    names = browser.run("[...document.querySelectorAll('#entity optgroup')].map((one) => one.label)")
    assert names == ["tasks", "agents", "frameworks"], names
    task = browser.run("document.querySelector('#entity optgroup option').textContent")
    choose(browser, task)
    texts = browser.run("page.view.listed.map((one) => one.text)")
    assert task.startswith("task-") and texts and all(task in text for text in texts), texts[:3]
    choose(browser, "agent-0")
    places = browser.run("page.view.listed.filter((one) => one.host.name !== 'agent-0').length")
    own = browser.run("page.view.listed.filter((one) => one.host.name === 'agent-0').length")
    assert own > 50 and places > 10, (own, places)
    choose(browser, "everything")


def choose(browser, name):
    browser.run(f"""(() => {{
        const choice = document.getElementById("entity");
        choice.selectedIndex = [...choice.options].findIndex((one) => one.text === {name!r});
        if (choice.selectedIndex < 0) throw new Error("no choice is called " + {name!r});
        choice.dispatchEvent(new Event("change"));
    }})()""")
    frame(browser)


def a_moment_has_a_state(browser):
    """What lives, is cut, connected and runs at a time at which nothing happens."""
    time_of_cut = browser.run("page.model.spans.find((span) => span.kind === 'cut').start")
    browser.run(f"page.showMoment({time_of_cut} + 1)")
    frame(browser)
    text = details(browser)
    for words in ("cut ", "not ended, as their frameworks were told", "registered as", "Alive: ",
                  "Connected: ", "subscribed as"):
        assert words in text, (words, text)
    browser.run("page.showMoment(page.model.end)")
    frame(browser)
    ended = re.search(r"Tasks: (\d+) ended", details(browser))
    assert ended and int(ended[1]) > 0 and "TASK_FINISHED" in details(browser), details(browser)


def a_click_on_the_lanes_selects(browser):
    browser.run("page.select(page.model.spans.find((span) => span.kind === 'cut').event, true)")
    frame(browser)
    text = details(browser)
    assert "cut" in text and "->" in text, text
    browser.run("page.view.from = 0, page.view.to = 2e6, page.view.scroll = 0, page.redraw()")
    frame(browser)
    x, y, time_of_arrival = browser.run("""(() => {
        const box = document.getElementById("lanes").getBoundingClientRect();
        const event = page.model.arrows.find((one) => one.group === "messages").to;
        const row = page.lanes.y(event.row) + ROW / 2;
        return [box.x + page.lanes.x(event.time), box.y + row, event.time];
    })()""")
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    frame(browser)
    assert abs(browser.run("page.view.selected.time") - time_of_arrival) < 10_000
    browser.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-400)
    browser.wait("page.view.to - page.view.from < 1.5e6")


def many_events_do_not_freeze_it(browser, folder):
    started = time.monotonic()
    show(browser, folder, large(50_000))
    assert time.monotonic() - started < 30
    assert browser.run("page.model.events.length") >= 49_998
    took = browser.run("""(() => {
        const start = performance.now();
        for (let count = 0; count < 5; count += 1) page.lanes.draw();
        return (performance.now() - start) / 5;
    })()""")
    assert took < 400, f"a frame takes {took} ms"
    filter_for(browser, "task-17")
    assert browser.run("page.view.listed.length") == 500
    assert browser.run("document.querySelectorAll('#list .row').length") < 100
    filter_for(browser, "nasty")
    assert browser.run("document.querySelector('#list .row').textContent").endswith(NASTY)
    assert browser.run("document.getElementById('nasty')") is None
    return took


def keep_pictures(browser, path):
    """The whole run, and a moment of it in the dark, which shows the messages' names."""
    browser.run("page.view.whole(), page.redraw()")
    frame(browser)
    browser.screenshot(path, whole=False)
    browser.prefer("dark")
    launch = browser.run("page.model.events.find((one) => one.text.startsWith('RunTask')).time")
    browser.run(f"page.view.from = {launch} - 3e3, page.view.to = {launch} + 9e3, page.redraw()")
    frame(browser)
    browser.screenshot(f"{path}.near.png", whole=False)
    browser.prefer("light")


def main():
    with tempfile.TemporaryDirectory(prefix="orrery-view-") as folder, Browser() as browser:
        browser.resize(1500, 950)
        a_run_that_failed_says_so(browser, folder)
        a_run_is_shown(browser, folder)
        faults_do_not_hide_what_they_lie_over(browser)
        the_filter_finds_a_task(browser)
        one_entity_can_be_looked_at(browser)
        a_moment_has_a_state(browser)
        a_click_on_the_lanes_selects(browser)
        if os.environ.get("VIEW_SCREENSHOT"):
            keep_pictures(browser, os.environ["VIEW_SCREENSHOT"])
        took = many_events_do_not_freeze_it(browser, folder)
        assert not browser.errors, browser.errors
    print(f"view: ok; a frame of 50,000 events takes {took:.0f} ms")


if __name__ == "__main__":
    main()
