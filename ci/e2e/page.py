"""The master's page in a real browser: what it shows, that it stays true, and that it says so
when the master is gone. PAGE_SCREENSHOT=FILE keeps a picture of it."""

import json
import os

from browser import Browser
from cluster import Cluster
from scheduler import Scheduler, task

# Every character that could end a string, an attribute or an element, and a path's escape.
NASTY = "<b onclick='x'>x<b>&\"'`${1}%41;?# ü"

STARTED = "document.readyState === 'complete' && !document.getElementById('main').hidden"


def row(table, text):
    """A JavaScript expression: the row of a table in which a cell says exactly `text`."""
    return (f"[...document.querySelectorAll('#{table} tbody tr')].find((row) => "
            f"[...row.cells].some((cell) => cell.textContent === {json.dumps(text)}))")


def state_of(table, task_id):
    return f"{row(table, task_id)}?.querySelector('.state').textContent"


def text_of(element):
    return f"document.getElementById('{element}').textContent"


def shows_the_cluster(cluster, scheduler, browser):
    """Agent, framework and both tasks are there, ids of strangers as the text that they are."""
    browser.wait(STARTED)
    agent_port = cluster.agents[0].rsplit(":", 1)[1]
    browser.wait(f"Boolean({row('frameworks', scheduler.id)})")
    browser.wait(f"{state_of('active-tasks', 'talker')} === 'TASK_RUNNING'")
    browser.wait(f"{state_of('active-tasks', NASTY)} === 'TASK_RUNNING'")
    for words in ("e2e", "active", agent_port, "page test", "cpus 0.2", "rack: r1"):
        assert words in browser.run("document.body.innerText"), words
    assert browser.run(text_of("connection")) == "Connected"
    assert browser.run("document.querySelectorAll('main b, main img').length") == 0


def updates_in_place(scheduler, signal, browser):
    """A task that ends, here at a signal, moves to the completed ones; the page stays as the
    reader left it."""
    browser.run("document.getElementById('completed-frameworks-details').open = true")
    browser.run(f"{row('active-tasks', 'talker')}.querySelector('a').focus()")
    browser.run("window.unharmed = true")
    browser.run(f"void (window.talker = {row('active-tasks', 'talker')})")
    open(signal, "w").close()
    scheduler.status(NASTY, "TASK_FINISHED")
    browser.wait(f"{state_of('completed-tasks', NASTY)} === 'TASK_FINISHED'")
    browser.wait(f"!{row('active-tasks', NASTY)}")
    assert browser.run("window.unharmed"), "the page was loaded anew"
    assert browser.run(f"window.talker === {row('active-tasks', 'talker')}"), "rows must stay"
    assert browser.run("window.talker.contains(document.activeElement)"), "focus must stay"
    assert browser.run("document.getElementById('completed-frameworks-details').open")


def shows_output(browser):
    """The links of a task open its files, which are followed as they grow."""
    output = text_of("viewer-output")
    browser.click(f"{row('active-tasks', 'talker')}.querySelector('a')")
    browser.wait(f"{output}.includes('grüße <i>1</i>\\n')")
    first = browser.run(output).count("grüße")
    browser.wait(f"{output}.includes('grüße <i>{first + 2}</i>\\n')")
    lines = [line for line in browser.run(output).splitlines() if line.startswith("grüße")]
    assert lines == [f"grüße <i>{number}</i>" for number in range(1, len(lines) + 1)], lines
    download = browser.run("document.getElementById('viewer-download').href")
    assert "/files/download?path=" in download and download.endswith("%2Fstdout"), download
    browser.press("Escape", 27)
    browser.wait("!document.getElementById('viewer').open && location.hash === ''")
    # The second link of a task that has ended, whose id is also the name of a folder.
    browser.click(f"{row('completed-tasks', NASTY)}.querySelectorAll('a')[1]")
    browser.wait(f"{output}.includes('complaint\\n')")
    browser.click("document.querySelector('#viewer button')")
    browser.wait("!document.getElementById('viewer').open")


def fits_a_narrow_window(browser):
    browser.resize(400, 800)
    width = browser.run("document.documentElement.scrollWidth")
    assert width <= 400, f"the page is {width} pixels wide in a window of 400"
    browser.resize(1280, 900)


def rests_while_hidden(browser):
    """A hidden page asks nothing; one that is looked at again asks at once."""
    asked = "performance.getEntriesByType('resource').filter((it) => it.name.endsWith('/state'))"
    browser.run("""performance.setResourceTimingBufferSize(10000);
        Object.defineProperty(document, "hidden", { configurable: true, get: () => window.away });
        window.away = true;
        document.dispatchEvent(new Event("visibilitychange"))""")
    # An answer that was under way may still come; after that the page would ask every 2 s.
    settled = "new Promise((resolve) => setTimeout(resolve, 500))"
    before = browser.run(f"{settled}.then(() => {asked}.length)")
    longer = "new Promise((resolve) => setTimeout(resolve, 3000))"
    after = browser.run(f"{longer}.then(() => {asked}.length)")
    assert before == after, f"a hidden page has asked {after - before} times"
    browser.run("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    browser.wait(f"{asked}.length > {after}", 1.5)


def survives_the_master(cluster, browser):
    """Without a master the page says since when; with a new one it goes on by itself."""
    assert browser.errors == [], browser.errors
    cluster.master.stop()
    browser.wait("document.body.dataset.connection === 'lost'")
    words = browser.run(text_of("connection"))
    assert words.startswith("The master does not answer. Its last answer came at "), words
    assert browser.run(f"Boolean({row('active-tasks', 'talker')})"), "what was known must stay"
    port = cluster.url.rsplit(":", 1)[1]
    cluster.daemon("master-again", [
        "master", "--ip=127.0.0.1", f"--port={port}", "--cluster=again",
        f"--work_dir={cluster.folder}/master"])
    browser.wait(f"{text_of('connection')} === 'Connected'")
    browser.wait(f"{text_of('cluster')} === 'again'")
    browser.wait("document.querySelector('#agents tbody .state')?.textContent === 'active'")


def main():
    with Cluster(agent_flags=["--attributes=rack:r1"]) as cluster, Browser() as browser:
        browser.resize(1280, 900)
        browser.open(cluster.url + "/")
        scheduler = Scheduler(cluster.url, "page test")
        talk = "n=0; while true; do n=$((n+1)); echo \"grüße <i>$n</i>\"; sleep 1; done"
        signal = os.path.join(cluster.folder, "signal")
        listen = f"echo complaint >&2; until [ -e {signal} ]; do sleep 0.1; done"
        scheduler.launch(scheduler.offer(), [task("talker", talk), task(NASTY, listen)])
        for name in ("talker", NASTY):
            scheduler.status(name, "TASK_RUNNING")
        shows_the_cluster(cluster, scheduler, browser)
        updates_in_place(scheduler, signal, browser)
        shows_output(browser)
        fits_a_narrow_window(browser)
        rests_while_hidden(browser)
        if os.environ.get("PAGE_SCREENSHOT"):
            browser.screenshot(os.environ["PAGE_SCREENSHOT"])
        scheduler.close()
        survives_the_master(cluster, browser)
    print("page: ok")


if __name__ == "__main__":
    main()
