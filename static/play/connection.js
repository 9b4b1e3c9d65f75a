// The socket: opens it, says what was seen last, comes back by itself, keeps the pending input.

const FIRST_WAIT = 400;
const LONGEST_WAIT = 15000;
const PING_EVERY = 25000;
const ANSWER_WITHIN = 10000;
const QUIET_TURN = 12000;

export function newClientKey() {
  // randomUUID needs a secure context; this doesn't.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Connection {
  /**
   * @param {string} sessionId
   * @param {{onMessage: function(object), onState: function("connecting"|"open"|"waiting"|"closed"), onDropped: function(object)}} listener
   */
  constructor(sessionId, listener) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.url = `${scheme}://${location.host}/ws/play/${sessionId}/`;
    this.storeKey = `pm6.pending.${sessionId}`;
    this.listener = listener;
    this.sequence = 0;
    this.failures = 0;
    this.over = false;
    this.socket = null;
    this.pending = this.loadPending();
    this.sentPendingOn = null;
    this.startedKey = "";
    this.retriedInterrupted = false;
    this.lastHeard = 0;
    window.addEventListener("online", () => this.hurry());
    window.addEventListener("offline", () => this.socket?.close());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.hurry();
    });
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.hurry();
    });
    setInterval(() => this.watch(), 1000);
  }

  open() {
    if (this.over || this.socket) return;
    clearTimeout(this.timer);
    this.listener.onState("connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.lastHeard = Date.now();
    this.pingSent = 0;
    socket.addEventListener("open", () => this.send({ type: "resume", after: this.sequence }));
    socket.addEventListener("message", (event) => this.receive(event.data, socket));
    socket.addEventListener("close", (event) => this.lost(socket, event));
  }

  /** Ends for good: the server said that there is nothing here. */
  stop() {
    this.over = true;
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
    this.listener.onState("closed");
  }

  /** Sends an input and keeps it until its turn is answered. */
  say(pending) {
    this.pending = pending;
    this.storePending();
    this.retriedInterrupted = false;
    this.sendPending();
  }

  resume() {
    this.send({ type: "resume", after: this.sequence });
  }

  settlePending(clientKey) {
    if (this.pending?.clientKey !== clientKey) return null;
    const settled = this.pending;
    this.pending = null;
    this.storePending();
    return settled;
  }

  /** Gives the input up without an answer; whoever listens may offer it to the player again. */
  dropPending() {
    this.listener.onDropped(this.settlePending(this.pending.clientKey));
  }

  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  sendPending() {
    const { clientKey, text, option } = this.pending;
    const message = { type: "say", clientKey, ...(option ? { option } : { text }) };
    if (this.send(message)) {
      this.sentPendingOn = this.socket;
      this.lastTurnNews = Date.now();
    }
  }

  receive(data, socket) {
    if (socket !== this.socket) return;
    this.lastHeard = Date.now();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.clientKey && message.clientKey === this.pending?.clientKey) this.lastTurnNews = Date.now();
    if (message.type === "pong") {
      this.pingSent = 0;
      return;
    }
    if (message.type === "welcome") this.greet(message);
    else if (message.type === "turn") this.noteTurn(message);
    else {
      if (message.type === "turnStarted") this.startedKey = message.clientKey;
      this.listener.onMessage(message);
    }
  }

  greet(message) {
    this.failures = 0;
    this.sequence = Math.max(this.sequence, message.sequence);
    const pending = this.pending;
    const turn = pending && message.turns.find((one) => one.clientKey === pending.clientKey);
    if (turn?.status === "done") this.settlePending(pending.clientKey);
    this.listener.onState("open");
    this.listener.onMessage(message);
    if (!this.pending || message.openTurn) return;
    if (message.session.status !== "running") this.dropPending();
    else if (turn?.status === "interrupted") this.retryInterrupted();
    else if (turn?.status !== "open" && this.sentPendingOn !== this.socket) this.sendPending();
    else if (turn?.status !== "open" && Date.now() - this.lastTurnNews > QUIET_TURN) this.sendPending();
  }

  /** A turn that died may be repeated under its key: once by itself, then when the player asks. */
  retryInterrupted() {
    if (this.retriedInterrupted) {
      this.dropPending();
      return;
    }
    this.retriedInterrupted = true;
    this.sendPending();
  }

  noteTurn(message) {
    // A turn that asked a model counts twice: when it began and when it ended.
    const step = this.startedKey === message.turn.clientKey ? 2 : 1;
    const missed = message.sequence > this.sequence + step;
    const after = this.sequence;
    const { turn } = message;
    const interrupted = turn.status === "interrupted" && this.pending?.clientKey === turn.clientKey;
    if (turn.status === "done") this.settlePending(turn.clientKey);
    this.listener.onMessage(message);
    if (interrupted) this.retryInterrupted();
    if (missed) this.send({ type: "resume", after });
    this.sequence = Math.max(this.sequence, message.sequence);
  }

  lost(socket, event) {
    if (socket !== this.socket) return;
    this.socket = null;
    if (this.over) return;
    if (event.code === 4404) {
      this.listener.onMessage({
        type: "error",
        code: "sessionNotFound",
        message: "There is no such session here.",
        hint: "Start a new one from the lobby, or sign in as the one who started it.",
        clientKey: "",
      });
      return;
    }
    this.failures += 1;
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (this.failures - 1));
    this.listener.onState("waiting");
    this.timer = setTimeout(() => this.open(), wait * (0.75 + Math.random() * 0.5));
  }

  /** The network or the player came back: don't wait for the timer, and don't trust a silent socket. */
  hurry() {
    if (this.over) return;
    if (!this.socket) this.open();
    else if (this.socket.readyState === WebSocket.OPEN) this.ping();
  }

  ping() {
    if (this.pingSent) return;
    if (this.send({ type: "ping" })) this.pingSent = Date.now();
  }

  watch() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const now = Date.now();
    if (this.pingSent && now - this.pingSent > ANSWER_WITHIN && this.lastHeard < this.pingSent) {
      const socket = this.socket;
      socket.close();
      this.lost(socket, { code: 1006 });
      return;
    }
    if (now - this.lastHeard > PING_EVERY) this.ping();
    if (this.pending && now - this.lastTurnNews > QUIET_TURN) {
      this.lastTurnNews = now;
      this.resume();
    }
  }

  loadPending() {
    try {
      const stored = JSON.parse(sessionStorage.getItem(this.storeKey));
      return stored && typeof stored.clientKey === "string" ? stored : null;
    } catch {
      return null;
    }
  }

  storePending() {
    try {
      if (this.pending) sessionStorage.setItem(this.storeKey, JSON.stringify(this.pending));
      else sessionStorage.removeItem(this.storeKey);
    } catch {
      // Without storage a reload in mid-turn still finds the turn, only the echo of the input is missing.
    }
  }
}
