/**
 * ctxbridge web chat: the page's side, without dependencies.
 *
 *   import { Chat } from "/chat/client.js";
 *   const chat = new Chat("wss://acme.example/chat/", { token: async () => (await fetch("/token")).text() });
 *   chat.on("message", (message) => show(message));
 *   chat.send("Where is my order?");
 *
 * What is sent has an id and is sent again until it is acknowledged, also over a new connection:
 * the server stores it once. What was missed meanwhile is asked for by its place.
 */

/**
 * @typedef {object} Message
 * @property {string} author           contact, agent, human_agent or system
 * @property {string} text
 * @property {number} [seq]            its place in the conversation; none while it is on its way
 * @property {number} [at]             Unix milliseconds
 * @property {string} [client_msg_id]  of the contact's own messages
 * @property {"sending"|"stored"|"failed"} [state]  of the contact's own messages
 * @property {boolean} [edited]
 * @property {boolean} [deleted]
 *
 * @typedef {object} Options
 * @property {() => string | Promise<string>} [token]  asked at every connection: tokens are short-lived
 * @property {string} [visitor]        a random id, where the server has no tokens
 * @property {number} [firstWait]      milliseconds before the first new connection (500)
 * @property {number} [longestWait]    and at most (30000)
 */

const REFUSED = new Set([4403]); // this page may not come back: another person's token, or a wrong site

/** One conversation. Events: message, change, draft, typing, ack, failed, status, reset, error. */
export class Chat {
  /** @param {string} url  @param {Options} [options] */
  constructor(url, options = {}) {
    this.url = url;
    this.options = { firstWait: 500, longestWait: 30000, ...options };
    /** @type {Map<string, Set<(value: any) => void>>} */
    this.listeners = new Map();
    /** @type {Message[]} what is to be seen, in the order of the conversation */
    this.messages = [];
    /** @type {Map<string, object>} frames that are not acknowledged yet, by their client_msg_id */
    this.unacked = new Map();
    this.lastSeq = this.readSeq = this.tries = 0;
    this.log = "";
    this.status = "closed";
    this.open();
  }

  /** Call `listener` at each event of that name. @returns {() => void} takes it off again */
  on(name, listener) {
    const known = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, known.add(listener));
    return () => known.delete(listener);
  }

  /** Send a text. @returns {Message} as it is shown until it is stored */
  send(text) {
    const id = newId();
    const message = { author: "contact", text, at: Date.now(), client_msg_id: id, state: "sending" };
    this.messages.push(message);
    this.emit("message", message);
    this.keep({ type: "message", client_msg_id: id, text, sent_at: message.at });
    return message;
  }

  /** Put `text` in the place of an own message. @param {string} of its client_msg_id */
  edit(of, text) {
    this.keep({ type: "edit", client_msg_id: newId(), of, text, sent_at: Date.now() });
    this.change(of, { text, edited: true });
  }

  /** Take an own message back. @param {string} of its client_msg_id */
  delete(of) {
    this.keep({ type: "delete", client_msg_id: newId(), of, sent_at: Date.now() });
    this.change(of, { text: "", deleted: true });
  }

  /** Set or take away a reaction. @param {number} seq of the message it is about */
  react(seq, value, on = true) {
    this.write({ type: "reaction", client_msg_id: newId(), seq, value, on, sent_at: Date.now() });
  }

  /** Tell that the person is typing: call it at every key, little of that is sent. */
  typing(on = true) {
    const now = Date.now();
    if (on && now - (this.typedAt ?? 0) < 3000) return;
    this.typedAt = on ? now : 0;
    this.write({ type: "typing", on });
  }

  /** Tell that everything so far has been seen, or everything up to `seq`. */
  read(seq = this.lastSeq) {
    if (seq <= this.readSeq) return;
    this.readSeq = seq;
    this.write({ type: "read", seq });
  }

  /** Leave. What is not acknowledged stays in `unacked`; `open` goes on with it. */
  close() {
    this.wanted = false;
    this.stop();
    this.socket?.close(1000);
    this.say("closed");
  }

  /** Connect, and stay connected. */
  async open() {
    this.wanted = true;
    this.stop();
    this.say("connecting");
    const attempt = (this.attempt = {});
    try {
      const token = this.options.token ? await this.options.token() : "";
      if (!this.wanted || attempt !== this.attempt) return;
      this.attach(new WebSocket(this.url), token);
    } catch {
      this.emit("error", { reason: "connect", again: true });
      this.again();
    }
  }

  /** @param {WebSocket} socket  @param {string} token */
  attach(socket, token) {
    this.socket = socket;
    socket.onopen = () =>
      socket.send(JSON.stringify({
        type: "resume", token, visitor: this.options.visitor ?? "", log: this.log,
        last_seq: this.log ? this.lastSeq : 0, seq: this.readSeq,
      }));
    socket.onmessage = (event) => {
      if (socket === this.socket) this.take(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      this.stop();
      if (REFUSED.has(event.code)) this.wanted = false;
      this.say(this.wanted ? "connecting" : "closed");
      this.emit("draft", null);
      if (this.wanted) this.again();
    };
  }

  /** Connect once more, the later the more often it failed, and never all pages at once. */
  again() {
    const { firstWait, longestWait } = this.options;
    const most = Math.min(longestWait, firstWait * 2 ** this.tries++);
    this.timer = setTimeout(() => this.open(), most / 2 + (Math.random() * most) / 2);
  }

  stop() {
    for (const timer of [this.timer, this.resend, this.acking, this.beat]) clearTimeout(timer);
  }

  /** Ask now and then whether the other side is still there; a socket alone does not tell. */
  heartbeat(seconds) {
    clearInterval(this.beat);
    this.asked = false;
    this.beat = setInterval(() => {
      if (!this.asked) {
        this.asked = true;
        this.write({ type: "ping" });
        return;
      }
      // No answer at all: the close handshake would wait for one too.
      const dead = this.socket;
      this.socket = undefined;
      dead?.close();
      this.stop();
      this.say("connecting");
      this.again();
    }, seconds * 1000);
  }

  /** Send again what was not acknowledged, in its order, and no faster than the server allows. */
  resendAll() {
    clearTimeout(this.resend);
    const frames = [...this.unacked.values()];
    const next = (n) => {
      if (n >= frames.length) return;
      if (this.unacked.has(frames[n].client_msg_id)) this.write(frames[n]);
      this.resend = setTimeout(next, n < 8 ? 0 : 300, n + 1);
    };
    next(0);
  }

  /** @param {object} frame that is sent until it is acknowledged */
  keep(frame) {
    this.unacked.set(frame.client_msg_id, frame);
    this.write(frame);
  }

  write(frame) {
    if (this.status === "open") this.socket.send(JSON.stringify(frame));
  }

  /** @param {any} frame */
  take(frame) {
    this.asked = false;
    switch (frame.type) {
      case "ready": return this.ready(frame);
      case "message": return this.show(frame);
      case "edit": return this.change(frame.of, { text: frame.text, edited: true }, frame.seq);
      case "delete": return this.change(frame.of, { text: "", deleted: true }, frame.seq);
      case "draft": return this.emit("draft", frame.text ? frame : null);
      case "typing": return this.emit("typing", frame);
      case "ack": return this.acknowledged(frame);
      case "error": return this.wrong(frame);
    }
  }

  ready(frame) {
    if (this.log && this.log !== frame.log) {
      // Another conversation has taken the place of the one that we know.
      this.messages = this.messages.filter((m) => m.state === "sending");
      this.lastSeq = this.readSeq = 0;
      this.emit("reset", null);
    }
    this.log = frame.log;
    this.tries = 0;
    this.say("open");
    this.heartbeat(frame.heartbeat);
    this.resendAll();
  }

  show(frame) {
    this.log ||= frame.log ?? "";
    const own = frame.client_msg_id ? this.find(frame.client_msg_id) : undefined;
    if (own) this.place(own, frame.seq);
    else if (!this.messages.some((m) => m.seq === frame.seq)) {
      const { type, id, log, ...message } = frame;
      this.messages.push(message);
      this.sort();
      this.emit("draft", null);
      this.emit("message", message);
    }
    this.seen(frame.seq);
    if (frame.author === "contact") return;
    // One frame says it for many: what came is in order.
    clearTimeout(this.acking);
    this.acking = setTimeout(() => this.write({ type: "ack", seq: this.lastSeq }), 50);
  }

  acknowledged(frame) {
    this.unacked.delete(frame.client_msg_id);
    this.place(this.find(frame.client_msg_id));
    this.emit("ack", frame);
  }

  wrong(frame) {
    this.emit("error", frame);
    if (frame.again) {
      clearTimeout(this.resend);
      this.resend = setTimeout(() => this.resendAll(), 1000 + Math.random() * 1000);
    } else if (this.unacked.delete(frame.client_msg_id)) {
      this.emit("failed", Object.assign(this.find(frame.client_msg_id) ?? frame, { state: "failed" }));
    }
  }

  find = (id) => this.messages.find((m) => m.client_msg_id === id);
  seen = (seq) => (this.lastSeq = Math.max(this.lastSeq, seq ?? 0));

  change(id, to, seq = 0) {
    this.seen(seq);
    const message = this.find(id);
    if (message) this.emit("change", Object.assign(message, to));
  }

  place(own, seq = own?.seq) {
    if (!own) return;
    this.sort(Object.assign(own, { state: "stored", seq }));
    this.emit("change", own);
  }

  sort() {
    this.messages.sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity) || (a.at ?? 0) - (b.at ?? 0));
  }

  say(status) {
    if (status === this.status) return;
    this.status = status;
    this.emit("status", status);
  }

  emit(name, value) {
    for (const listener of this.listeners.get(name) ?? []) {
      // What a listener throws is the page's business, and must not stop ours.
      try { listener(value); } catch (error) { reportError(error); }
    }
  }
}

/** 16 random bytes in hexadecimal: `crypto.randomUUID` is for secure pages alone. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
