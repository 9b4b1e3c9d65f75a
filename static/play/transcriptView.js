// The transcript: compact exchanges, older ones folded, new ones in view only for who stands at the end.

import { byId, calmMotion, el, focusableWhenScrolling } from "./dom.js";
import { plural, sentenceCase, words } from "./format.js";
import { markView } from "./markView.js";
import { deltaText, welcome } from "./metersView.js";
import { portrait } from "./portrait.js";
import { netChanges } from "./store.js";

const UNFOLDED = 2;
const NEAR_END = 60;

export function transcriptView(store) {
  const scroller = byId("transcript");
  const list = byId("exchanges");
  const pill = byId("newPill");
  const nodes = new Map();
  let following = true;
  let unseen = 0;
  let ownScroll = 0;
  let anchor = null;

  focusableWhenScrolling(scroller);

  const atEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END;

  const showPill = () => {
    pill.hidden = !unseen;
    pill.textContent = unseen ? `${unseen} new` : "";
    if (unseen) pill.setAttribute("aria-label", `${plural(unseen, "new reply", "new replies")}, go to the end`);
  };

  const goTo = (top, smooth) => {
    ownScroll = Date.now();
    scroller.scrollTo({ top, behavior: smooth && !calmMotion() ? "smooth" : "auto" });
  };

  const toEnd = (smooth = true) => {
    following = true;
    anchor = null;
    unseen = 0;
    showPill();
    goTo(scroller.scrollHeight, smooth);
  };

  /** Goes to the end, but not past the beginning of what is new. */
  const showFromStart = (smooth) => {
    const top = anchor.node.offsetTop - 14;
    const end = scroller.scrollHeight - scroller.clientHeight;
    goTo(Math.min(top, end), smooth);
    const hidden = top < end - NEAR_END;
    const replies = [...anchor.body.querySelectorAll(".reply")];
    unseen = hidden ? replies.filter((node) => node.offsetTop + 40 > top + scroller.clientHeight).length : 0;
    showPill();
  };

  scroller.addEventListener("scroll", () => {
    if (atEnd()) {
      following = true;
      unseen = 0;
      showPill();
    } else if (Date.now() - ownScroll > 700) {
      following = false;
      anchor = null;
    }
  });
  for (const name of ["wheel", "touchmove", "keydown"]) scroller.addEventListener(name, () => (ownScroll = 0), { passive: true });
  pill.addEventListener("click", () => {
    toEnd();
    scroller.focus({ preventScroll: true });
  });
  new ResizeObserver(() => {
    if (!following || !nodes.size) return;
    if (anchor?.node.isConnected) showFromStart(false);
    else goTo(scroller.scrollHeight, false);
  }).observe(scroller);

  // One exchange ------------------------------------------------------------------------------

  const playerLine = (turn) => turn.inputText || turn.intentTitle || "";

  function buildExchange(key, number, line) {
    const bodyId = `exchange-${key}`;
    const parts = { key, bodyId, folded: false, touched: false };
    parts.button = el(
      "button",
      { class: "exchangeToggle", type: "button", "aria-expanded": "true", "aria-controls": bodyId, onclick: () => toggle(parts) },
      el("span", { class: "exchangeNumber" }, el("span", { class: "visuallyHidden" }, "Turn "), String(number)),
      (parts.line = el("span", { class: "exchangeLine" }, line)),
      (parts.digest = el("span", { class: "exchangeDigest" })),
    );
    parts.body = el("div", { class: "exchangeInner" });
    parts.fold = el("div", { class: "exchangeFold", id: bodyId }, parts.body);
    parts.after = el("div", { class: "exchangeAfter" });
    parts.node = el("article", { class: "exchange", "data-key": key }, el("h3", { class: "exchangeHead" }, parts.button), parts.fold, parts.after);
    return parts;
  }

  function toggle(parts) {
    parts.touched = true;
    fold(parts, !parts.folded);
  }

  function fold(parts, folded) {
    parts.folded = folded;
    parts.node.classList.toggle("folded", folded);
    parts.fold.inert = folded;
    parts.button.setAttribute("aria-expanded", String(!folded));
  }

  function foldOlder() {
    const all = [...list.children].map((node) => nodes.get(node.dataset.key)).filter(Boolean);
    for (const parts of all.slice(0, -UNFOLDED)) {
      if (!parts.touched && !parts.node.contains(document.activeElement)) fold(parts, true);
    }
    for (const [at, parts] of all.entries()) parts.node.classList.toggle("latest", at === all.length - 1);
  }

  const byline = (agent) =>
    el("p", { class: "byline" }, el("span", { class: "bylineName" }, agent.name), el("span", { class: "bylineRole" }, agent.role));

  function doneReply(reply, order) {
    const agent = store.agent(reply.agent);
    const node = el(
      "div",
      { class: "reply", "data-source": reply.source },
      portrait(agent),
      el("div", { class: "replyText" }, byline(agent), el("p", { class: "speech" }, reply.text), markView(reply, agent.name)),
    );
    node.style.setProperty("--order", order);
    return node;
  }

  function withdrawnReplies(replies) {
    if (!replies.length) return null;
    return el(
      "details",
      { class: "withdrawnNote" },
      el("summary", {}, replies.length === 1 ? "One answer broke off and was withdrawn" : `${replies.length} answers broke off and were withdrawn`),
      replies.map((reply) => el("p", {}, el("b", {}, store.agent(reply.agent).name), " ", el("s", {}, reply.text || "(nothing was said yet)"))),
    );
  }

  function noteCard(note) {
    // A move is the break between scenes; an ending has the last page to itself.
    if (note.kind === "move" || note.kind === "win" || note.kind === "lose") return null;
    return el(
      "aside",
      { class: "note", "data-kind": note.kind, "aria-label": note.title || note.kind },
      el("p", { class: "noteTitle" }, note.title || sentenceCase(note.kind)),
      note.text && el("p", { class: "noteText" }, note.text),
    );
  }

  function changeList(turn) {
    const net = [...netChanges(turn)];
    if (!net.length) return null;
    return el(
      "ul",
      { class: "changes", "aria-label": "What this changed" },
      net.map(([slug, { before, after }]) => {
        const variable = store.variable(slug);
        return el(
          "li",
          { "data-moved": welcome(variable, before, after) },
          el("span", {}, variable?.title || sentenceCase(words(slug))),
          " ",
          el("b", {}, deltaText(variable, before, after)),
        );
      }),
    );
  }

  function sceneBreak(turn) {
    if (turn.outcome || !turn.nextSituation || turn.nextSituation === turn.situation) return null;
    const note = turn.notes.find((one) => one.kind === "move");
    const title = store.sceneTitles.get(turn.nextSituation) || note?.title || sentenceCase(words(turn.nextSituation));
    return el("p", { class: "sceneBreak", "data-situation": turn.nextSituation }, el("span", {}, title));
  }

  function fillDone(parts, turn) {
    const done = turn.replies.filter((reply) => reply.status === "done").sort((one, other) => one.position - other.position);
    const withdrawn = turn.replies.filter((reply) => reply.status === "withdrawn");
    const content = [
      ...done.map((reply, order) => doneReply(reply, order)),
      withdrawnReplies(withdrawn),
      turn.status === "interrupted" && el("p", { class: "interrupted" }, "This turn was interrupted before an answer came. Nothing was changed by it."),
      ...turn.notes.map(noteCard),
      changeList(turn),
    ].filter(Boolean);
    parts.body.replaceChildren(...content);
    parts.line.textContent = playerLine(turn);
    parts.node.dataset.trigger = turn.trigger;
    parts.node.dataset.status = turn.status;
    parts.node.classList.remove("liveExchange");
    parts.live = null;
    const speakers = [...new Set(done.map((reply) => reply.agent))].map((slug) => portrait(store.agent(slug), "tiny"));
    parts.digest.replaceChildren(...speakers);
    parts.after.replaceChildren(...[sceneBreak(turn)].filter(Boolean));
    return done.length;
  }

  function place(turn) {
    const key = turn.clientKey || `turn${turn.id}`;
    let parts = nodes.get(key);
    const isNew = !parts;
    if (isNew) {
      parts = buildExchange(key, turn.number, playerLine(turn));
      nodes.set(key, parts);
    }
    parts.number = turn.number;
    const wasLive = Boolean(parts.live);
    const streamed = Boolean(parts.live?.size);
    const replies = fillDone(parts, turn);
    if (isNew) {
      const later = [...list.querySelectorAll(".exchange")].find((node) => nodes.get(node.dataset.key).number > turn.number);
      list.insertBefore(parts.node, later || null);
    }
    return { parts, isNew, wasLive, streamed, replies };
  }

  // The turn that runs ------------------------------------------------------------------------

  function liveReplyNode(parts, reply) {
    let node = parts.live.get(reply.id);
    if (node) return node;
    const agent = store.agent(reply.agent);
    const speech = el("p", { class: "speech" });
    const box = el("div", { class: "reply streaming" }, portrait(agent), el("div", { class: "replyText" }, byline(agent), speech));
    parts.waiting.before(box);
    node = { box, speech, text: "" };
    parts.live.set(reply.id, node);
    return node;
  }

  function showWaiting(parts) {
    const speaking = new Set([...store.live.replies.values()].map((one) => one.agent));
    const silent = store.live.agents.filter((slug) => !speaking.has(slug)).map((slug) => store.agent(slug));
    const nobodyYet = !store.live.agents.length && !speaking.size;
    parts.waiting.hidden = !silent.length && !nobodyYet;
    const names = silent.map((agent) => agent.name).join(" and ");
    parts.waiting.replaceChildren(
      ...silent.map((agent) => portrait(agent, "small")),
      el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
      el("span", { class: "waitingText" }, names ? `${names} ${silent.length > 1 ? "are" : "is"} thinking` : "The room turns to you"),
    );
  }

  function ensureLive() {
    const live = store.live;
    let parts = nodes.get(live.clientKey);
    if (!parts) {
      parts = buildExchange(live.clientKey, live.number, live.inputText);
      nodes.set(live.clientKey, parts);
      list.append(parts.node);
    }
    if (!parts.live) {
      parts.live = new Map();
      parts.waiting = el("div", { class: "waiting" });
      parts.body.replaceChildren(parts.waiting);
      parts.node.classList.add("liveExchange", "entering");
      parts.number = live.number;
      fold(parts, false);
    }
    parts.line.textContent = live.inputText || "…";
    return parts;
  }

  store.on("live", () => {
    const parts = ensureLive();
    showWaiting(parts);
    foldOlder();
    if (store.live.mine || following) toEnd();
  });

  store.on("reply", (reply) => {
    if (!store.live) return;
    const parts = ensureLive();
    const node = liveReplyNode(parts, reply);
    if (reply.withdrawn) {
      node.box.classList.add("withdrawing");
      node.speech.after(el("p", { class: "withdrawnHint" }, "Broke off. Another answer is coming."));
      parts.live.delete(reply.id);
      setTimeout(() => node.box.isConnected && node.box.classList.add("gone"), 1400);
    } else if (reply.text.startsWith(node.text)) {
      node.speech.append(reply.text.slice(node.text.length));
      node.text = reply.text;
    } else {
      node.speech.textContent = node.text = reply.text;
    }
    node.box.classList.toggle("streaming", !reply.ready && !reply.withdrawn);
    showWaiting(parts);
    if (following) goTo(scroller.scrollHeight, false);
  });

  // A scene of the history gets its title once the story has been there.
  store.on("scene", () => {
    for (const line of list.querySelectorAll(`.sceneBreak[data-situation="${CSS.escape(store.scene.situation)}"] span`)) {
      line.textContent = store.scene.title;
    }
  });

  store.on("abandoned", (clientKey) => {
    nodes.get(clientKey)?.node.remove();
    nodes.delete(clientKey);
    foldOlder();
  });

  store.on("turn", ({ turn, isNew }) => {
    const wasFollowing = following;
    const { parts, streamed, replies } = place(turn);
    if (isNew) parts.node.classList.add(streamed ? "settled" : "revealing");
    foldOlder();
    if (!wasFollowing) {
      unseen += replies;
      showPill();
      return;
    }
    anchor = parts;
    requestAnimationFrame(() => anchor && showFromStart(true));
  });

  store.on("welcome", ({ first, fresh }) => {
    if (first) {
      list.prepend(opening(store));
      if (store.more) list.firstChild.after(el("p", { class: "earlier" }, "Earlier turns are on record and not shown here."));
    }
    const wasFollowing = following;
    let replies = 0;
    for (const turn of fresh) {
      const placed = place(turn);
      if (placed.isNew || placed.wasLive) replies += placed.replies;
    }
    for (const [key, parts] of nodes) {
      if (parts.live && store.live?.clientKey !== key) {
        parts.node.remove();
        nodes.delete(key);
      }
    }
    foldOlder();
    if (first || wasFollowing) {
      const last = [...list.querySelectorAll(".exchange")].at(-1);
      if (last && !first) {
        anchor = nodes.get(last.dataset.key);
        requestAnimationFrame(() => anchor && showFromStart(true));
      }
      else if (last) requestAnimationFrame(() => toEnd(false));
      else {
        goTo(0, false);
        showPill();
      }
    } else if (replies) {
      unseen += replies;
      showPill();
    }
  });
}

function opening(store) {
  const paragraphs = store.session.opening.split(/\n\s*\n/).filter((text) => text.trim());
  return el(
    "section",
    { class: "opening", "aria-label": "Opening" },
    el("p", { class: "eyebrow" }, `You are the ${store.session.playerRole}`),
    paragraphs.map((text, at) => el("p", { class: at === 0 && /^\s*\p{L}/u.test(text) ? "openingText dropCap" : "openingText" }, text.trim())),
  );
}
