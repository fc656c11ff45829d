"""The page in a real browser: mouse, keyboard, slider. Driven over the WebDriver protocol with
the standard library; skipped where no Chromium and chromedriver are installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

import unfold as uf
import viz

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium here: apt install chromium chromium-driver"
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-sync", "--disable-background-networking", "--disable-component-update"]


class Browser:
    """As much of WebDriver as the tests need."""

    def __init__(self, port, profile):
        self.base = f"http://127.0.0.1:{port}"
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self.base += "/session/" + self.send("POST", "/session", wanted)["sessionId"]

    def send(self, method, path, body=None):
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(
            self.base + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path):
        self.send("POST", "/url", {"url": path.as_uri()})

    def run(self, script):
        return self.send("POST", "/execute/sync", {"script": script, "args": []})

    def find(self, selector):
        return self.send("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self.send("POST", f"/element/{self.find(selector)}/click")

    def hover(self, selector):
        origin = {ELEMENT: self.find(selector)}
        move = {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": origin}
        mouse = {"type": "pointer", "id": "m", "parameters": {"pointerType": "mouse"}, "actions": [move]}
        self.send("POST", "/actions", {"actions": [mouse]})

    def keys(self, *keys):
        actions = [{"type": kind, "value": k} for k in keys for kind in ("keyDown", "keyUp")]
        self.send("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]})

    def facts(self):
        return self.run("return document.getElementById('facts').textContent")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    started = None
    for _ in range(200):
        try:
            started = Browser(port, tmp_path_factory.mktemp("profile"))
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    assert started is not None
    yield started
    started.send("DELETE", "")
    process.terminate()
    process.wait()


@pytest.fixture
def page(browser, tmp_path):
    graph = uf.systems.rnn()
    rng = np.random.default_rng(0)
    sizes = {"input": 2, "hidden": 3, "classes": 2}
    arrays = {"x": rng.normal(size=(3, 2)), "y": rng.integers(0, 2, 3), **graph.init(seed=0, **sizes)}
    browser.open(viz.draw(graph, run=graph.run(of="loss", **arrays)).save(tmp_path / "rnn.html"))
    return browser


def test_the_switch_folds_and_unfolds(page):
    hidden = "return document.getElementById('unfolded').hidden"
    assert page.run(hidden) is False
    page.click("#fold")
    assert page.run(hidden) is True
    assert page.run("return document.getElementById('fold').textContent") == "Unfold"
    page.click("#fold")
    assert page.run(hidden) is False


def test_pointing_at_a_circle_tells_its_equation_shape_value_and_gradient(page):
    page.hover("#unfolded [data-node='h@2']")
    told = page.facts()
    assert told.startswith("h[2]\nequation: h[t] = tanh(")
    assert all(f"\n{what}: " in told for what in ("shape", "value", "gradient"))


def test_the_tab_key_reaches_every_circle(page):
    page.click("#fold")
    page.run("document.getElementById('fold').focus()")
    seen = set()
    for _ in range(40):
        page.keys("\ue004")
        seen.add(
            page.run("return document.activeElement.dataset ? document.activeElement.dataset.node || '' : ''")
        )
    assert {"x", "y", "h", "o", "L"} <= seen


def test_a_parameter_lights_up_every_place_where_it_is_used(page):
    page.click(".param[data-param='W']")
    lit = page.run("return document.querySelectorAll('#unfolded .use').length")
    assert lit == 3
    page.click(".param[data-param='W']")
    assert page.run("return document.querySelectorAll('.use').length") == 0


def test_the_slider_plays_forward_and_then_backward(page):
    page.run("document.getElementById('play').focus()")
    phase = "return document.getElementById('phase').textContent"
    page.keys("\ue014")
    assert page.run(phase).startswith("forward 1 of ")
    assert page.run("return document.querySelectorAll('#unfolded .dim').length") > 0
    page.keys("\ue010")
    assert page.run(phase).startswith("backward ")
    assert page.run("return document.querySelectorAll('#unfolded [data-node].back').length") == 15


def test_nothing_is_loaded_and_no_error_is_raised(page):
    assert page.run("return performance.getEntriesByType('resource').length") == 0


def test_a_hostile_name_runs_nothing(browser, tmp_path):
    t = uf.axis("t")
    h = uf.var("</script><script>window.hit = 1</script>", over=t)
    h[0] = 1.0
    h[t] = uf.tanh(h[t - 1])
    browser.open(viz.draw(uf.graph(h=h)).save(tmp_path / "x.html"))
    assert browser.run("return window.hit === undefined") is True
    assert browser.run("return document.querySelectorAll('#unfolded [data-node]').length") == 4
