// The page of the demo: it shows what the server tells, and sends what is typed or pressed.
// Whatever customers wrote is put in as text, never as HTML.
import { Chat } from "/chat/client.js";

const $ = (id) => document.getElementById(id);
const known = new Map(); // what an element shows, so that only what changed is built anew
let seen = { conversations: [], devices: [], deliveries: [], held: [] };
let whose = "";
let busy = 0; // buttons that were pressed and are not done

/** An element with text and children. */
function make(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children.filter(Boolean));
  return made;
}

const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** Show `items` in `list`: each is built once, and stays while it says the same. `follow` is what scrolls to its end. */
function fill(list, items, build, { follow } = {}) {
  const atEnd = follow && follow.scrollHeight - follow.scrollTop - follow.clientHeight < 40;
  const first = !list.childElementCount;
  items.forEach((item, place) => {
    const told = JSON.stringify(item);
    const there = list.children[place];
    if (there && known.get(there) === told) return;
    const made = build(item);
    if (there?.querySelector("details[open]")) made.querySelector("details")?.setAttribute("open", "");
    if (!there && !first) made.classList.add("fresh");
    known.set(made, told);
    if (there) { known.delete(there); there.replaceWith(made); } else list.append(made);
  });
  while (list.childElementCount > items.length) { known.delete(list.lastChild); list.lastChild.remove(); }
  if (follow && (atEnd || first)) follow.scrollTop = follow.scrollHeight;
}

// --- devices -----------------------------------------------------------------------------------

function bubble(one) {
  const status = one.author === "contact" ? "" : one.status;
  return make("li", { class: one.author === "contact" ? "contact" : "bot" },
    one.subject ? make("small", { text: one.subject }) : null,
    make("span", { class: "hidden", text: one.author === "contact" ? "sent: " : "received: " }),
    document.createTextNode(one.text),
    make("small", { text: [clock(one.at), status].filter(Boolean).join(" · ") }));
}

function showDevices() {
  const number = $("phone-number").value;
  for (const device of ["phone", "mailbox"]) {
    const scroller = document.querySelector(`#${device} .messages`);
    fill(scroller.firstElementChild, seen.devices.filter((one) => one.device === device && (device !== "phone" || one.whose === number)), bubble, { follow: scroller });
  }
}

const chat = new Chat(`${location.origin.replace("http", "ws")}/chat/`, {
  token: async () => (await fetch("/sim/token")).text(),
});
const chatLog = document.querySelector("#chat .messages");
const showChat = () => fill(chatLog.firstElementChild,
  chat.messages.filter((m) => !m.deleted).map((m) => ({ author: m.author, text: m.text, at: m.at ?? Date.now(), status: "" })), bubble, { follow: chatLog });
for (const name of ["message", "change", "reset"]) chat.on(name, () => { showChat(); if (!document.hidden) chat.read(); });
chat.on("status", (status) => { $("chat-status").textContent = status; });
chat.on("typing", (t) => { $("chat-typing").textContent = t.on ? "the shop is typing …" : ""; });

// --- the timeline ------------------------------------------------------------------------------

function entry(one) {
  const event = one.event !== undefined;
  const tags = make("div", {},
    one.note ? make("span", { class: `tag ${one.tone}`, text: one.note }) : null,
    one.again ? make("span", { class: "tag cyan", text: `duplicate: came ${one.again + 1} times, answered once` }) : null,
    one.assurance ? make("span", { class: "tag dim", text: `${one.who}, ${one.assurance}` }) : null);
  const text = ["merge", "split"].includes(one.event) ? `${one.text} (${one.evidence})` : one.text;
  return make("li", { class: event ? "event" : one.author, "data-seq": String(one.seq) },
    make("time", { datetime: new Date(one.at).toISOString(), text: clock(one.at) }),
    make("span", { class: "channel", text: one.channel }),
    make("div", { class: "body" },
      one.author ? make("small", { text: one.author }) : null,
      make("div", { class: "text", text }),
      tags,
      one.guards?.length ? reasons(one) : null));
}

function reasons(one) {
  const body = make("tbody", {}, ...one.guards.map((g) => make("tr", {},
    make("td", { text: g.guard }), make("td", { text: g.action }),
    make("td", { text: g.code || (g.status === "ok" ? "" : g.status) }), make("td", { text: `${g.microseconds} µs` }))));
  const head = make("thead", {}, make("tr", {}, ...["guard", "verdict", "reason", "time"].map((text) => make("th", { scope: "col", text }))));
  return make("details", {}, make("summary", { text: `why: ${one.guards.length} guards, turn ${one.turn}` }), make("table", {}, head, body));
}

function showTimeline() {
  const all = seen.conversations;
  const chosen = all.find((one) => one.id === whose || one.merged.includes(whose)) ?? all[0];
  whose = chosen?.id ?? "";
  const told = JSON.stringify(all.map((one) => [one.id, one.title, whose]));
  if (known.get($("whose")) !== told) {
    known.set($("whose"), told);
    const had = document.activeElement?.name === "whose";
    $("whose").replaceChildren($("whose").querySelector("legend"), ...all.map((one) => {
      const radio = make("input", { type: "radio", name: "whose", value: one.id });
      radio.checked = one.id === whose;
      return make("label", {}, radio, document.createTextNode(` ${one.title}`));
    }));
    if (had) $("whose").querySelector("input:checked")?.focus();
  }
  fill($("timeline"), chosen?.entries ?? [], entry, { follow: $("timeline") });
  showKnown(chosen);
}

// --- what is known -----------------------------------------------------------------------------

const TONE = { sent: "cyan", delivered: "green", read: "green", failed: "red", withheld: "red", unknown: "yellow", pending: "yellow", claimed: "cyan" };

function showKnown(one) {
  fill($("links"), one?.links ?? [], (link) => make("li", {},
    document.createTextNode(link.name || link.address),
    make("small", { text: `${link.address} · ${link.assurance}${link.holds ? "" : " · over"}` }),
    make("small", { text: link.evidence || "wrote to us" })));
  fill($("consents"), one?.consents.length ? one.consents : [null], (c) => c === null
    ? make("li", { text: "nothing was said: replies may leave" })
    : make("li", {}, make("span", { class: `tag ${c.granted ? "green" : "red"}`, text: c.granted ? "yes" : "no" }),
      document.createTextNode(`${c.channel}, ${c.purpose}`), make("small", { text: `${clock(c.at)}, said by ${c.source}` })));
  const state = Object.entries(one?.state ?? {});
  $("state").replaceChildren(...(state.length ? state : [["", "empty"]]).flatMap(([name, value]) =>
    [make("dt", { text: name }), make("dd", { text: String(value) })]));
  const judged = (one?.entries ?? []).filter((e) => e.code || (e.decided && e.decided !== "allow")).slice(-6).reverse();
  fill($("decisions"), judged.length ? judged : [null], (e) => e === null
    ? make("li", { text: "everything was allowed" })
    : make("li", {}, make("span", { class: `tag ${e.tone}`, text: e.decided }), document.createTextNode(e.code),
      make("small", { text: `${e.channel}, ${e.author}: ${e.guards.filter((g) => g.code).map((g) => `${g.guard} said ${g.action}`).join(", ")}` })));
  const left = [...seen.held, ...seen.deliveries.toSorted((a, b) => b.at - a.at)].slice(0, 8);
  fill($("deliveries"), left, (d) => make("li", {}, make("span", { class: `tag ${TONE[d.status] ?? "dim"}`, text: d.status }),
    document.createTextNode(`${d.channel} ${d.to ?? ""} ${d.code ?? ""}`), make("small", { text: d.text })));
}

// --- the line to the server --------------------------------------------------------------------

function line(text, away = false) {
  if ($("line").textContent !== text) $("line").textContent = text;
  $("line").classList.toggle("away", away);
}

const live = new EventSource("/sim/live");
live.onmessage = (event) => {
  const told = JSON.parse(event.data);
  if (told.away) return line(`The store is away (${told.away}); trying again.`, true);
  seen = told;
  if (busy && seen.happened.length) $("told").textContent = seen.happened.at(-1);
  line("Live.");
  $("figures").textContent = `A look-up of a whole conversation took ${seen.look_up} µs.`;
  showDevices();
  showTimeline();
};
live.onerror = () => line("The server is away; trying again.", true);

async function post(path, body = {}) {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-Simulator": "1" } });
  if (!answer.ok) throw new Error(`the server said ${answer.status}`);
  return (await answer.json()).told;
}

for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true"; // and not disabled, which would take the focus away
    $("told").textContent = `${button.textContent} …`;
    busy += 1;
    try { $("told").textContent = await post(`/sim/do/${button.dataset.do}`); }
    catch (error) { $("told").textContent = `That did not work: ${error.message}`; }
    finally { busy -= 1; button.ariaDisabled = null; }
  });
}

for (const device of ["phone", "mailbox", "chat"]) {
  const form = document.querySelector(`#${device} form`);
  const field = $(`${device}-text`);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value;
    if (!text.trim()) return;
    field.value = "";
    if (device === "chat") return chat.send(text);
    const body = { device, text, via: $(`${device}-via`).value };
    if (device === "phone") body.number = $("phone-number").value;
    try { await post("/sim/say", body); }
    catch (error) { field.value = text; $("told").textContent = `Not sent: ${error.message}`; }
  });
  field.addEventListener("keydown", (event) => {
    if (device === "mailbox" && event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
$("chat-text").addEventListener("input", () => chat.typing());
$("phone-number").addEventListener("change", () => { document.querySelector("#phone ol").replaceChildren(); showDevices(); });
$("whose").addEventListener("change", (event) => { whose = event.target.value; $("timeline").replaceChildren(); showTimeline(); });
