// Puts the page together: one socket, one store, and views that listen to it.

import { announcer } from "./announcer.js";
import { castView } from "./castView.js";
import { composerView } from "./composerView.js";
import { Connection, newClientKey } from "./connection.js";
import { byId } from "./dom.js";
import { endingView } from "./endingView.js";
import { headerView } from "./headerView.js";
import { metersView } from "./metersView.js";
import { noticesView } from "./noticesView.js";
import { Store } from "./store.js";
import { transcriptView } from "./transcriptView.js";

const root = byId("play");
const store = new Store();
const notices = noticesView(store);
headerView(store);
transcriptView(store);
metersView(store);
const composer = composerView(store, say);
castView(store, (agent) => composer.mention(agent));
endingView(store);
announcer(store);

const connection = new Connection(root.dataset.sessionId, {
  onMessage: (message) => (message.type === "error" ? showError(message) : store.apply(message)),
  onState: (state) => {
    store.connection = state;
    root.dataset.connection = state;
    store.tell("connection");
  },
  onDropped: (pending) => {
    store.abandon(pending.clientKey);
    composer.putBack(pending.text);
  },
});

function say({ option, label, text }) {
  const pending = { clientKey: newClientKey(), option, label, text };
  store.begin({ clientKey: pending.clientKey, inputText: text || label, mine: true });
  connection.say(pending);
}

function showError(error) {
  if (error.code === "sessionNotFound") {
    connection.stop();
    notices.fatal(error, root.dataset.lobbyUrl);
    return;
  }
  notices.toast(error);
  if (!error.clientKey) return;
  const pending = connection.settlePending(error.clientKey);
  store.abandon(error.clientKey);
  if (pending) composer.putBack(pending.text);
}

store.on("welcome", ({ first }) => {
  if (!first) return;
  root.dataset.phase = store.status;
  const { pending } = connection;
  if (pending && !store.live) store.begin({ clientKey: pending.clientKey, inputText: pending.text || pending.label, mine: true });
  else if (pending && store.live.clientKey === pending.clientKey) {
    store.live.inputText = pending.text || pending.label;
    store.live.mine = true;
    store.tell("live");
  }
});

connection.open();
