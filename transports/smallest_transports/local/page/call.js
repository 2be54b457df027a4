// What every call of the page has: a socket, its faults, its picture, a log.
export const $ = (id) => document.getElementById(id);
export const seconds = (at) => at.toFixed(1);
const address = (path) => `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${path}`;
let picture = null; // made when there is something to show

const calls = []; // those that go on, of which the latest is shown, and its link is broken

/** Open a socket of the page. `told` has a function for each kind of message; audio goes to `told.audio`. */
export function connect(path, kind, told) {
  const socket = new WebSocket(address(path));
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) return told.audio(data);
    const message = JSON.parse(data);
    if (message.kind !== "picture") told[message.kind]?.(message);
    else if (calls.at(-1).socket === socket) show(message.scenes);
  };
  socket.onclose = ({ code }) => {
    calls.splice(calls.findIndex((call) => call.socket === socket), 1);
    offer();
    told.closed(code === 1000 ? "" : "The local server has gone: is it still running?");
  };
  calls.push({ socket, kind });
  offer();
  socket.addEventListener("open", offer);
  return socket;
}

/** One line of a log: when, and what. */
export function line(log, time, text, name) {
  const item = document.createElement("li");
  const when = document.createElement("time");
  when.textContent = time;
  const what = document.createElement("span");
  what.textContent = text;
  item.append(when, what);
  item.className = name;
  log.append(item);
  log.scrollTop = log.scrollHeight;
}

/** What is told of links, the same for every call. */
export const links = (log) => ({
  opened: ({ at, link }) => line(log, seconds(at), `Link ${link} is open.`, "link"),
  lost: ({ at, link, why }) => line(log, seconds(at), `Link ${link} is lost: ${why}`, "link lost"),
  refused: ({ why }) => line(log, "", why, "lost"),
});

function show(scenes) {
  if (!scenes.length) return;
  $("no-picture").hidden = true;
  picture ??= smallestPicture($("picture"));
  picture.show(scenes);
}

/** Offer the faults of the latest call's kind; where there is none, none. */
function offer() {
  const latest = calls.at(-1), kind = latest?.socket.readyState === WebSocket.OPEN ? latest.kind : "";
  $("faults").disabled = !kind;
  for (const item of document.querySelectorAll("[data-only]"))
    item.firstElementChild.disabled = item.dataset.only !== kind;
}

$("faults").addEventListener("click", ({ target }) => {
  for (const fault of target.dataset.faults?.split(" ") ?? [])
    if (calls.at(-1)?.socket.readyState === WebSocket.OPEN) calls.at(-1).socket.send(JSON.stringify({ fault }));
});
