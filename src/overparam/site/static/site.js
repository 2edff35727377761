// What the site does beyond plain HTML: votes without a reload, keys, live runs. Everything works without it.
import { follow } from "./live.js";

document.querySelectorAll("[data-run]").forEach(follow);

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches(".voting")) return;
  event.preventDefault();
  const button = form.querySelector("button");
  const answer = await fetch(form.action, {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
    headers: { Accept: "application/json" },
  }).catch(() => null);
  if (!answer?.ok || answer.redirected) return form.submit(); // the page itself says what is wrong
  const { voted, total } = await answer.json();
  for (const twin of document.querySelectorAll(`form.voting[action="${form.getAttribute("action")}"]`)) {
    const one = twin.querySelector("button");
    one.setAttribute("aria-pressed", voted);
    one.setAttribute("aria-label", `Vote for this paper${total ? `, ${total} vote${total === 1 ? "" : "s"}` : ""}`);
    one.querySelector("span").textContent = total || "";
    twin.elements.on.value = voted ? "0" : "1";
  }
  button.focus();
});

// Keys: off while typing and where the reader switched them off.
const OFF = "keys-off";
const remembered = (() => { try { return localStorage; } catch { return {}; } })();
const items = () => [...document.querySelectorAll(".feed > li")];
let at = -1;

function go(step) {
  const list = items();
  if (!list.length) return;
  list[at]?.classList.remove("at");
  at = Math.min(list.length - 1, Math.max(0, at + step));
  list[at].classList.add("at");
  list[at].querySelector(".title a").focus({ preventScroll: true });
  list[at].scrollIntoView({ block: "nearest" });
}

const KEYS = {
  j: ["next paper", () => go(1)],
  k: ["previous paper", () => go(-1)],
  o: ["open it", () => items()[at]?.querySelector(".title a").click()],
  v: ["vote for it", () => (items()[at] ?? document).querySelector(".vote")?.click()],
  "/": ["search", () => document.querySelector(".find input").focus()],
  "?": ["this list", () => help().showModal()],
};

let dialog;
function help() {
  if (dialog) return dialog;
  dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "keys-title");
  const title = Object.assign(document.createElement("h2"), { id: "keys-title", textContent: "Keyboard" });
  const list = document.createElement("dl");
  for (const [key, [words]] of Object.entries(KEYS)) {
    const term = document.createElement("dt");
    term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    list.append(term, Object.assign(document.createElement("dd"), { textContent: words }));
  }
  const toggle = document.createElement("button");
  const close = document.createElement("button");
  const name = () => (toggle.textContent = remembered[OFF] ? "Switch keys on" : "Switch keys off");
  toggle.className = close.className = "btn";
  close.textContent = "Close";
  toggle.onclick = () => { remembered[OFF] ? delete remembered[OFF] : (remembered[OFF] = "1"); name(); };
  close.onclick = () => dialog.close();
  name();
  const row = Object.assign(document.createElement("p"), { className: "row" });
  row.append(close, toggle);
  dialog.append(title, list, row);
  document.body.append(dialog);
  return dialog;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, dialog, [contenteditable]")) return;
  if (remembered[OFF] && event.key !== "?") return;
  const found = KEYS[event.key];
  if (!found) return;
  event.preventDefault();
  found[1]();
});

const hint = document.querySelector(".keys-hint");
if (hint) {
  hint.hidden = false;
  hint.querySelector("[data-keys]").onclick = () => help().showModal();
}
