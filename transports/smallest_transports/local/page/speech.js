// A text, spoken: audio is played as it comes, and each word appears when it is heard.
import { $, connect, line, links } from "./call.js";

const RATE = 24000; // Hz, as the server sends it

let socket = null, player = null, timers = [];

const state = (text, working) => {
  $("speak-state").textContent = text;
  $("speak").textContent = working ? "Stop" : "Speak it";
  $("speak").classList.toggle("on", working);
};

/** Plays pieces one after the other; `at(seconds)` is when that part of the speech is heard, in the context's time. */
const make = () => {
  const context = new AudioContext();
  let begins = null, ends = 0;
  return {
    at: (place) => (begins ?? context.currentTime) + place - context.currentTime,
    left: () => Math.max(0, ends - context.currentTime),
    stop: () => context.close(),
    play: (pcm) => {
      const samples = Float32Array.from(new Int16Array(pcm), (sample) => sample / 32768);
      if (!samples.length) return;
      const buffer = context.createBuffer(1, samples.length, RATE);
      buffer.copyToChannel(samples, 0);
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(context.destination);
      const now = context.currentTime;
      begins ??= now;
      if (ends < now) begins += ends ? now - ends : 0; // it was late: what follows is heard later
      source.start(ends = Math.max(ends, now));
      ends += buffer.duration;
    },
  };
};

const later = (wait, work) => timers.push(setTimeout(work, Math.max(0, wait) * 1000));

/** Nothing more is heard, and the call ends there. */
const over = (text) => {
  timers.forEach(clearTimeout);
  timers = [];
  player?.stop();
  player = null;
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ over: true }));
  else socket?.close(); // before it was open: nothing is to be spoken then
  socket = null;
  state(text, false);
};

const begin = (text) => {
  const log = $("speak-log");
  log.replaceChildren();
  $("spoken").textContent = "";
  player = make();
  const told = {
    ...links(log),
    audio: (pcm) => player.play(pcm),
    word: ({ start, text }) => later(player.at(start), () => $("spoken").append(text.trim(), " ")),
    cut: ({ unspoken }) => unspoken && line(log, "", `Not spoken: ${unspoken}`, "lost"),
    failed: ({ why }) => line(log, "", why, "lost"),
    done: () => later(player.left(), () => over("silent")),
    closed: (problem) => over(problem || "silent"),
  };
  // What is still on its way of a speech that was stopped is not for the one after it.
  for (const [kind, tell] of Object.entries(told)) told[kind] = (what) => socket === mine && tell(what);
  const mine = (socket = connect("/page/speak", "speak", told));
  mine.onopen = () => mine.send(JSON.stringify({ text }));
  state("speaking", true);
};

$("speak").addEventListener("click", () => {
  if (socket) over("stopped");
  else if ($("text").value.trim()) begin($("text").value);
});
