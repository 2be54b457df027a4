"""The page in a real browser, with a recorded human in its microphone: Chromium, headless."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import soundfile

from smallest_transports.local.page import LocalPage
from smallest_transports.local.recordings import two_cities
from smallest_transports.local.server import LocalServer
from smallest_transports.local.threaded import serve_in_thread

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from smallest_proto.server.synthesiser import SpokenPiece
    from smallest_transports.local.recogniser import Engines
    from smallest_transports.local.synthesiser import HibariSynthesiser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="there is no Chromium with its ChromeDriver here (Debian: apt install chromium chromium-driver)",
    ),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # sockets to ChromeDriver, which its client leaves
]

SECONDS = 8.5  # of the recording
TEXT = "it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness"
PATIENCE = 60  # seconds, for a machine with much else to do
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--mute-audio",
    "--use-fake-ui-for-media-stream",  # the microphone is allowed
    "--use-fake-device-for-media-stream",
    "--window-size=1280,1000",
)


class Mouth:
    """A voice that waits until it may speak: what is pressed before that is pressed in time."""

    def __init__(self, voice: HibariSynthesiser) -> None:
        self.voice = voice
        self.may_speak = threading.Event()

    def speak(self, text: str, **options: Any) -> Iterator[SpokenPiece]:
        assert self.may_speak.wait(PATIENCE)
        yield from self.voice.speak(text, **options)


@pytest.fixture
def mouth(voice: HibariSynthesiser) -> Mouth:
    return Mouth(voice)


@pytest.fixture
def server(models: Engines, mouth: Mouth) -> Iterator[LocalServer]:  # noqa: ARG001 - loaded by then
    with serve_in_thread(LocalServer(pages=LocalPage(), synthesiser=lambda: mouth)) as server:
        yield server


@pytest.fixture
def url(server: LocalServer) -> str:
    return server.base_url.removesuffix("waves/v1")


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chrome]:
    from selenium import webdriver

    with soundfile.SoundFile(two_cities().path) as recording:
        samples = recording.read(round(SECONDS * recording.samplerate))
        soundfile.write(tmp_path / "said.wav", samples, recording.samplerate, "PCM_16")
    options = webdriver.ChromeOptions()
    assert CHROMIUM is not None
    options.binary_location = CHROMIUM
    microphone = f"--use-file-for-fake-audio-capture={tmp_path / 'said.wav'}%noloop"
    for argument in (*ARGUMENTS, microphone, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def missing(said: str, heard: str) -> list[str]:
    """The words that were not heard in their order; one that was heard twice is none of them."""
    left = iter(words(heard))
    return [word for word in words(said) if word not in left]


class Page:
    """What a person does with the page, and sees of it."""

    def __init__(self, driver: Chrome, url: str) -> None:
        from selenium.webdriver.support.wait import WebDriverWait

        self.driver = driver
        self.waiting = WebDriverWait(driver, PATIENCE, poll_frequency=0.1)
        driver.get(url)

    def text(self, selector: str) -> str:
        return str(
            self.driver.execute_script(
                "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent).join(' ')", selector
            )
        )

    def wait_for(self, selector: str, wanted: str) -> None:
        self.waiting.until(lambda _: re.search(wanted, self.text(selector)), f"{wanted} in {selector}")

    def press(self, selector: str) -> None:
        from selenium.webdriver.common.by import By

        self.driver.find_element(By.CSS_SELECTOR, selector).click()


def test_no_word_is_missing_where_the_link_breaks_while_one_speaks(chromium: Chrome, url: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    page = Page(chromium, url)
    # By keyboard: the first thing that there is.
    chromium.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    chromium.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait_for("#interim, #heard .final", r"\w")
    assert float(chromium.execute_script("return document.getElementById('level').value")) >= 0
    page.press("[data-faults=drop]")
    page.wait_for("#heard", "Link 1 is lost.*Link 2 is open")
    page.wait_for("#picture", "1 lost")  # it grows while one speaks
    page.wait_for("#interim, #heard", "foolishness")
    page.press("#listen")
    page.wait_for("#listen-state", "off")
    heard = page.text("#heard .final span")
    assert missing(TEXT, heard) == [], heard
    assert re.search(r"\d\.\d – \d\.\d", page.text("#heard .final time"))
    assert not chromium.find_element(By.CSS_SELECTOR, "[data-faults=drop]").is_enabled()
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_text_is_spoken_while_the_link_breaks(chromium: Chrome, url: str, server: LocalServer, mouth: Mouth) -> None:
    from selenium.webdriver.common.by import By

    page = Page(chromium, url)
    text = "Please call me back on Tuesday. I will be at home. Bring the red folder with you, and the blue one."
    box = chromium.find_element(By.ID, "text")
    box.clear()
    box.send_keys(text)
    page.press("#speak")
    page.waiting.until(lambda _: chromium.find_element(By.CSS_SELECTOR, "[data-faults=drop]").is_enabled())
    page.press("[data-faults=drop]")
    page.waiting.until(lambda _: any(plan.left for plan in server._plans.values()))
    mouth.may_speak.set()
    page.wait_for("#speak-log", "Link 1 is lost.*Link 2 is open")
    page.wait_for("#speak-state", "silent")
    assert words(page.text("#spoken")) == words(text)
    page.press("#speak")
    page.wait_for("#spoken", "Please")
    page.press("#speak")
    assert page.text("#speak-state") == "stopped"
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_call_that_was_stopped_leaves_the_next_alone(chromium: Chrome, url: str, mouth: Mouth) -> None:
    """However quickly the button is pressed; and the faults go back to the call that still goes on."""
    page = Page(chromium, url)
    mouth.may_speak.set()
    page.press("#listen")
    page.wait_for("#listen-state", "listening")
    chromium.execute_script("for (let at = 0; at < 9; at++) document.getElementById('speak').click()")
    page.wait_for("#spoken", "best")
    assert page.text("#speak-log").count("is open") == 1
    page.press("#speak")
    assert page.text("#speak-state") == "stopped"
    page.waiting.until(
        lambda driver: driver.execute_script("return !document.querySelector('[data-only=hear] button').disabled")
    )
    page.press("[data-faults=drop]")
    page.wait_for("#heard", "Link 1 is lost.*Link 2 is open")


@pytest.mark.parametrize("width", [1280, 360])
def test_everything_has_a_name_and_fits(chromium: Chrome, url: str, width: int) -> None:
    chromium.set_window_size(width, 900)
    page = Page(chromium, url)
    page.waiting.until(lambda driver: driver.execute_script("return document.readyState") == "complete")
    tree: dict[str, Any] = chromium.execute_cdp_cmd("Accessibility.getFullAXTree", {})
    controls = ("button", "textbox", "meter", "log", "status")
    nodes = [node for node in tree["nodes"] if node["role"]["value"] in controls]
    named = [node for node in nodes if node.get("name", {}).get("value") or node["role"]["value"] == "status"]
    assert len(nodes) >= 16
    assert named == nodes
    wide = chromium.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
