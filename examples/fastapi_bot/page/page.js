// The page of the demo: it shows what the server tells, and sends what is typed or pressed.
// Whatever customers wrote is put in as text, never as HTML.
import { Chat } from "/chat/client.js";

const $ = (id) => document.getElementById(id);
const known = new WeakMap(); // what an element shows, so that only what changed is built anew
let seen = { chosen: null, devices: [], deliveries: [], held: [] };
let people = []; // all conversations, the latest first
let whose = ""; // the one that was chosen; nothing: the server's choice
let active = ""; // the one that the keyboard is at
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
  // Of a long conversation the last entries are shown: what fell out at the top goes, and the rest stays what it is.
  const stays = items.length ? [...list.children].findIndex((one) => known.get(one) === JSON.stringify(items[0])) : 0;
  for (const gone of [...list.children].slice(0, Math.max(stays, 0))) gone.remove();
  items.forEach((item, place) => {
    const told = JSON.stringify(item);
    const there = list.children[place];
    if (there && known.get(there) === told) return;
    const made = build(item);
    if (there?.querySelector("details[open]")) made.querySelector("details")?.setAttribute("open", "");
    if (!there && !first) made.classList.add("fresh");
    known.set(made, told);
    if (there) there.replaceWith(made); else list.append(made);
  });
  while (list.childElementCount > items.length) list.lastChild.remove();
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
    one.release ? make("span", { class: "tag dim", text: `release ${one.release}` }) : null,
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

let drafted = ""; // whose conversation the fields of the colleague are about

function showTimeline() {
  const id = seen.chosen?.id ?? "";
  if (id !== drafted) { drafted = id; $("floor-text").value = $("floor-note").value = ""; } // it was for somebody else
  fill($("timeline"), seen.chosen?.entries ?? [], entry, { follow: $("timeline") });
  showKnown(seen.chosen);
  showFloor(seen.chosen?.floor ?? { floor: "agent" });
  showTiming(seen.chosen?.timing);
}

// --- all conversations: of a long list only what can be seen is there --------------------------

const list = $("people");
const space = list.appendChild(make("div", { class: "space", role: "presentation" }));
const rowHeight = () => 2.75 * parseFloat(getComputedStyle(document.documentElement).fontSize); // as in page.css
const SPARE = 3; // rows above and below

function showPeople() {
  const height = rowHeight();
  const chosen = seen.chosen?.id ?? "";
  if (!people.some((one) => one.id === active)) active = chosen;
  space.style.height = `${people.length * height}px`; // which also is the height of a short list
  const first = Math.floor(list.scrollTop / height) - SPARE;
  const last = Math.ceil((list.scrollTop + list.clientHeight) / height) + SPARE;
  const there = new Map([...list.querySelectorAll("[role=option]")].map((row) => [row.id, row]));
  let next = space.nextElementSibling; // rows stand in their order, for who reads them aloud
  people.forEach((one, place) => {
    if ((place < first || place > last) && one.id !== active) return;
    const told = JSON.stringify([one, place, people.length, one.id === chosen]);
    let row = there.get(`person-${one.id}`);
    there.delete(`person-${one.id}`);
    if (!row || known.get(row) !== told) {
      const made = person(one, place, one.id === chosen);
      if (row === next) next = row?.nextElementSibling ?? null;
      row?.remove();
      row = made;
      known.set(row, told);
      row.style.top = `${place * height}px`;
    }
    if (row === next) next = row.nextElementSibling;
    else list.insertBefore(row, next);
    row.classList.toggle("active", one.id === active);
  });
  for (const row of there.values()) row.remove();
  if (active) list.setAttribute("aria-activedescendant", `person-${active}`);
  const count = people.length === 1 ? "1 conversation" : `${people.length} conversations`;
  if ($("people-count").textContent !== count) $("people-count").textContent = count;
}

function person(one, place, chosen) {
  const says = { human: "a colleague has it · ", queue: "waits for a colleague · " }[one.floor] ?? "";
  return make("div", { role: "option", id: `person-${one.id}`, "data-id": one.id, "aria-selected": String(chosen),
    "aria-posinset": String(place + 1), "aria-setsize": String(people.length) },
    make("span", { text: one.title }), make("small", { text: `${says}${clock(one.at)} ${one.text}` }));
}

function choose(id) {
  active = id;
  if (id === (whose || seen.chosen?.id || "")) return showPeople(); // asked for already, or there
  whose = id;
  $("timeline").replaceChildren();
  watch();
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 4, PageUp: -4, Home: -Infinity, End: Infinity };
list.addEventListener("keydown", (event) => {
  const place = people.findIndex((one) => one.id === active);
  if (event.key in STEPS && people.length) {
    const next = Math.min(Math.max(place + STEPS[event.key], 0), people.length - 1);
    active = people[next].id;
    const top = next * rowHeight();
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + rowHeight() > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight() - list.clientHeight;
    showPeople();
  } else if (["Enter", " "].includes(event.key) && active) choose(active);
  else return;
  event.preventDefault();
});
list.addEventListener("scroll", () => requestAnimationFrame(showPeople), { passive: true });
list.addEventListener("click", (event) => {
  const row = event.target.closest("[role=option]");
  if (row) choose(row.dataset.id);
});

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

// --- who may speak, and what the latest turn took ------------------------------------------------

const NOW = { agent: "The agent.", human: "A colleague.", queue: "Nobody: it waits for a colleague." };

function showFloor(floor) {
  const said = floor.holder ? `${floor.holder}, a colleague.` : NOW[floor.floor];
  if ($("floor-now").textContent !== said) $("floor-now").textContent = said;
  $("floor").className = floor.floor;
  const about = [["why", floor.reason], ["promised", (floor.promised ?? []).join("; ")], ["note", floor.note]].filter(([, text]) => text);
  fill($("floor-package"), about.flat().map((text, place) => [place % 2 ? "dd" : "dt", text]), ([tag, text]) => make(tag, { text }));
  const held = floor.floor === "human";
  if (held !== $("floor-take").hidden) {
    const had = $("floor").contains(document.activeElement);
    $("floor-take").hidden = held;
    $("floor-say").hidden = $("floor-back").hidden = !held;
    if (had) (held ? $("floor-text") : $("floor-take")).focus(); // what had the focus is gone
  }
}

const ms = (microseconds) => `${(microseconds / 1000).toFixed(1)} ms`;

function showTiming(timing) {
  $("timing-turn").textContent = timing ? `${timing.span}, turn ${timing.turn.slice(-8)}: ${ms(timing.took)}` : "none yet";
  const steps = (timing?.steps ?? []).map((one) => ({ ...one, of: timing.took }));
  if (timing?.guards.times) steps.push({ name: `${timing.guards.times} guards`, took: timing.guards.took });
  fill($("steps"), steps, (one) => {
    const bar = make("span", { class: "bar" });
    bar.style.marginLeft = `${100 * one.start / one.of}%`;
    bar.style.width = `${100 * one.took / one.of}%`;
    return make("tr", {}, make("td", { text: one.name }), make("td", { text: one.of ? ms(one.start) : "in all" }),
      make("td", { text: ms(one.took) }), make("td", { class: "wide", "aria-hidden": "true" }, one.of ? bar : null));
  });
}

/** Say what became of it; whether the server took it. */
async function tell(doing) {
  try { $("told").textContent = await doing; return true; }
  catch (error) { $("told").textContent = `That did not work: ${error.message}`; return false; }
}
const step = (name, text = "") => tell(post(`/sim/floor/${name}`, { whose: seen.chosen?.id ?? "", text }));
$("floor-take").addEventListener("click", () => step("take"));
for (const [name, field] of [["say", $("floor-text")], ["back", $("floor-note")]]) {
  $(`floor-${name}`).addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value;
    if (name === "say" && !text.trim()) return;
    field.value = "";
    const [about, taken] = [drafted, await step(name, text)];
    if (!taken && about === drafted && !field.value) field.value = text;
  });
}

// --- the line to the server --------------------------------------------------------------------

function line(text, away = false) {
  if ($("line").textContent !== text) $("line").textContent = text;
  $("line").classList.toggle("away", away);
}

let live;
function watch() {
  live?.close();
  live = new EventSource(`/sim/live?whose=${encodeURIComponent(whose)}`);
  live.onmessage = (event) => {
    const told = JSON.parse(event.data);
    if (told.away) return line(`The store is away (${told.away}); trying again.`, true);
    seen = told;
    people = told.people ?? people;
    if (busy && seen.happened.length) $("told").textContent = seen.happened.at(-1);
    line("Live.");
    $("figures").textContent = `A look-up of this whole conversation by the page took ${seen.look_up} µs.`;
    showDevices();
    showPeople();
    showTimeline();
  };
  live.onerror = () => line("The server is away; trying again.", true);
}
watch();

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
