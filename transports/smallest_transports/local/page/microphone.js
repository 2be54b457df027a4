// The microphone, and what is heard.
import { $, connect, line, links, seconds } from "./call.js";

const microphone = { stop: null };

$("listen").addEventListener("click", () => (microphone.stop ? microphone.stop() : listen()));

function state(text, working) {
  $("listen-state").textContent = text;
  $("listen").textContent = working ? "Stop" : "Start the microphone";
  $("listen").classList.toggle("on", working);
}

async function listen() {
  $("listen").disabled = true;
  try {
    await begin();
  } catch (error) {
    microphone.stop = null;
    state(why(error), false);
  }
  $("listen").disabled = false;
}

function why(error) {
  if (!navigator.mediaDevices) return "A browser gives its microphone to localhost and https alone.";
  if (error.name === "NotAllowedError") return "The browser may not use the microphone: allow it for this page.";
  if (error.name === "NotFoundError") return "There is no microphone.";
  if (error.name === "AbortError") return "The local server has gone: is it still running?"; // its worklet did not come
  return `The microphone failed: ${error.message}`;
}

async function begin() {
  // What cleans speech for people harms it for recognisers; the echo of the page's own voice has to go.
  const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: false };
  const sound = await navigator.mediaDevices.getUserMedia({ audio });
  const context = new AudioContext();
  const silence = () => {
    sound.getTracks().forEach((track) => track.stop());
    if (context.state !== "closed") context.close();
    $("level").value = 0;
  };
  try {
    await context.audioWorklet.addModule("/page/recorder.js");
  } catch (error) {
    silence();
    throw error;
  }
  $("heard").replaceChildren();
  $("interim").textContent = "";
  const socket = connect(`/page/hear?rate=${context.sampleRate}`, "hear", {
    ...links($("heard")),
    interim: ({ text }) => ($("interim").textContent = text),
    final: ({ start, end, text }) => {
      $("interim").textContent = "";
      line($("heard"), `${seconds(start)} – ${seconds(end)}`, text, "final");
    },
    gap: ({ start, end, why }) => line($("heard"), `${seconds(start)} – ${seconds(end)}`, `Lost: ${why}`, "lost"),
    failed: ({ why }) => line($("heard"), "", why, "lost"),
    closed: (problem) => {
      silence();
      microphone.stop = null;
      $("listen").disabled = false;
      $("interim").textContent = "";
      state(problem || "off", false);
    },
  });
  const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  const waiting = []; // until the socket is open
  recorder.port.onmessage = ({ data }) => {
    $("level").value = Math.sqrt(data.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0) / 32768);
    waiting.push(data);
    while (socket.readyState === WebSocket.OPEN && waiting.length) socket.send(waiting.shift());
  };
  socket.onopen = () => state("listening", true);
  context.createMediaStreamSource(sound).connect(recorder);
  sound.getTracks().forEach((track) => (track.onended = () => microphone.stop?.())); // unplugged, or forbidden by now
  microphone.stop = () => {
    microphone.stop = null;
    $("listen").disabled = true; // until the call is over: one at a time
    silence();
    state("the last words are coming", false);
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ end: true }));
    else socket.close();
  };
}
