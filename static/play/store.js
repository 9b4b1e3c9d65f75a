// What the page knows of the session: folds the server's messages, tells views what changed.

export class Store extends EventTarget {
  constructor() {
    super();
    this.session = null;
    this.agents = new Map();
    this.variables = [];
    this.scene = null;
    this.sceneTitles = new Map();
    this.turns = new Map();
    this.live = null;
    this.money = null;
    this.status = "running";
    this.outcome = "";
    this.modelNote = "";
    this.more = false;
    this.connection = "connecting";
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  on(name, listener) {
    this.addEventListener(name, (event) => listener(event.detail));
  }

  get running() {
    return this.status === "running";
  }

  get busy() {
    return Boolean(this.live);
  }

  /** Finished turns, oldest first. */
  get history() {
    return [...this.turns.values()].sort((one, other) => one.number - other.number || one.id - other.id);
  }

  agent(slug) {
    return this.agents.get(slug) || { slug, name: slug, role: "", glyph: "", color: "#5b6b7b" };
  }

  variable(slug) {
    return this.variables.find((one) => one.slug === slug);
  }

  /** What the last finished turn changed: slug to {before, after}. */
  get lastChanges() {
    const last = this.history.filter((turn) => turn.status === "done").at(-1);
    return last ? netChanges(last) : new Map();
  }

  apply(message) {
    const handler = this[`on_${message.type}`];
    if (handler) handler.call(this, message);
  }

  on_welcome(message) {
    const first = !this.session;
    this.session = message.session;
    this.agents = new Map(message.agents.map((agent) => [agent.slug, agent]));
    this.variables = message.variables;
    this.modelNote = message.modelNote;
    this.money = message.money;
    this.status = message.session.status;
    this.outcome = message.session.outcome;
    if (first) this.more = message.more;
    this.setScene(message.scene);
    const fresh = [];
    for (const turn of message.turns) {
      if (turn.status === "open") continue;
      const known = this.turns.get(turn.id);
      if (!known || known.status !== turn.status || known.sequence !== turn.sequence) fresh.push(turn);
      this.turns.set(turn.id, turn);
    }
    if (this.live && this.live.clientKey !== message.openTurn) {
      const ended = message.turns.find((turn) => turn.clientKey === this.live.clientKey && turn.status !== "open");
      if (ended || !this.live.mine) this.live = null;
    }
    if (message.openTurn && !this.live) this.begin({ clientKey: message.openTurn });
    this.tell("welcome", { first, fresh });
    this.tell("scene");
    this.tell("money");
    this.tell("busy");
    this.tell("status");
  }

  on_turnStarted(message) {
    if (this.live?.clientKey !== message.clientKey) this.begin({ clientKey: message.clientKey });
    this.live.number = message.number;
    this.live.agents = message.agents;
    this.live.inputText = message.inputText || this.live.inputText;
    this.tell("live");
    this.tell("busy");
  }

  on_replyDelta(message) {
    const reply = this.liveReply(message);
    if (!reply) return;
    // The server counts characters, not UTF-16 units.
    const length = [...reply.text].length;
    if (message.offset !== length) {
      // A piece was missed; what follows can't be placed, the turn itself will hold everything.
      if (message.offset > length) reply.broken = true;
      return;
    }
    if (reply.broken) return;
    reply.text += message.text;
    this.tell("reply", reply);
  }

  on_replyReady(message) {
    const reply = this.liveReply(message);
    if (!reply) return;
    Object.assign(reply, { text: message.text, broken: false, ready: true, withdrawn: false });
    this.tell("reply", reply);
  }

  on_replyWithdrawn(message) {
    const reply = this.live?.clientKey === message.clientKey && this.live.replies.get(message.replyId);
    if (!reply) return;
    reply.withdrawn = true;
    this.tell("reply", reply);
    this.live.replies.delete(message.replyId);
  }

  on_turn(message) {
    const { turn } = message;
    const isNew = this.turns.get(turn.id)?.status !== turn.status;
    if (turn.status !== "open") this.turns.set(turn.id, turn);
    if (this.live?.clientKey === turn.clientKey && turn.status !== "open") this.live = null;
    this.money = message.money;
    this.status = message.status;
    this.outcome = message.outcome;
    if (turn.status !== "open") this.tell("turn", { turn, isNew });
    this.setScene(message.scene);
    this.tell("scene");
    this.tell("money");
    this.tell("busy");
    this.tell("status");
  }

  setScene(scene) {
    this.scene = scene;
    this.sceneTitles.set(scene.situation, scene.title);
  }

  /** A turn runs now: mine, or one of another window of this session. */
  begin({ clientKey, inputText = "", mine = false }) {
    this.live = { clientKey, inputText, mine, number: (this.scene?.turn || 0) + 1, agents: [], replies: new Map() };
    this.tell("live");
    this.tell("busy");
  }

  /** The turn that ran comes to nothing: refused, or its input is taken back. */
  abandon(clientKey) {
    if (this.live?.clientKey !== clientKey) return;
    this.live = null;
    this.tell("abandoned", clientKey);
    this.tell("busy");
  }

  liveReply(message) {
    if ([...this.turns.values()].some((turn) => turn.clientKey === message.clientKey && turn.status === "done")) return null;
    if (this.live?.clientKey !== message.clientKey) this.begin({ clientKey: message.clientKey });
    const { replies } = this.live;
    if (!replies.has(message.replyId)) {
      replies.set(message.replyId, { id: message.replyId, agent: message.agent, text: "", broken: false, ready: false, withdrawn: false });
    }
    return replies.get(message.replyId);
  }
}

/** Adds up a turn's changes by variable; what came back to where it was is left out. */
export function netChanges(turn) {
  const net = new Map();
  for (const change of turn.changes) {
    const known = net.get(change.variable);
    net.set(change.variable, { before: known ? known.before : change.before, after: change.after });
  }
  for (const [slug, { before, after }] of net) if (before === after) net.delete(slug);
  return net;
}
