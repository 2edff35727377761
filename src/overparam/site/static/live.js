// Live runs: follows a panel by server-sent events, or asks again while its request waits. Pages work without it.
const [RENEW, SAY, WAIT, RETRY] = [1000, 5000, 2000, 10000]; // a panel is fetched and read out no more often
const parse = (text) => new DOMParser().parseFromString(text, "text/html");
const time = (s) => (s < 60 ? `${Math.round(s)} s` : s < 3570 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);

async function renew(panel) {
  const { run, request } = panel.dataset;
  const answer = await fetch(run ? `/runs/${run}/panel` : `/requests/${request}/panel`).catch(() => null);
  const fresh = answer?.ok && parse(await answer.text()).querySelector("[data-run]");
  if (!fresh) return panel;
  const focused = panel.contains(document.activeElement);
  panel.replaceWith(fresh);
  if (focused) fresh.querySelector("button, a")?.focus();
  return fresh;
}

async function renewClaims() {
  const old = document.getElementById("claims");
  const answer = old && (await fetch(location.href).catch(() => null));
  const fresh = answer?.ok && parse(await answer.text()).getElementById("claims");
  if (fresh) old.replaceWith(fresh);
}

function voice(panel) {
  const place = Object.assign(document.createElement("p"), { className: "vh" });
  place.setAttribute("role", "status");
  panel.after(place);
  let timer;
  return (words) => {
    place.dataset.next = words;
    timer ??= setTimeout(() => { timer = undefined; place.textContent = place.dataset.next; }, SAY);
  };
}

export function follow(panel) {
  if (panel.dataset.active === undefined) return;
  if (panel.dataset.run) return listen(panel);
  setTimeout(async () => follow(await renew(panel)), WAIT);
}

function listen(panel, say = voice(panel)) {
  const { run, after } = panel.dataset;
  const source = new EventSource(`/api/v1/runs/${encodeURIComponent(run)}/events?after=${after}`);
  let seen = after, stood, timer, judged = false;

  const refresh = () => {
    timer ??= setTimeout(async () => {
      timer = undefined;
      if (document.hidden) return refresh();
      if (judged) { judged = false; await renewClaims(); }
      panel = await renew(panel);
    }, RENEW);
  };
  source.addEventListener("progress", (event) => {
    const told = JSON.parse(event.data);
    const stands = `${told.state} ${told.done + told.failed}`;
    const bar = panel.querySelector("progress");
    const now = panel.querySelector("[data-now]");
    seen = event.lastEventId;
    if (bar) [bar.max, bar.value] = [told.planned || 1, told.done + told.failed];
    panel.querySelector("[data-left]").textContent = told.left ? `about ${time(told.left)} left` : "";
    now.hidden = !told.note;
    now.textContent = `Now: ${told.experiment.replaceAll("_", " ")}: ${told.note}`;
    say(`${told.done} of ${told.planned} trials done`);
    if (stands !== stood) refresh();
    stood = stands;
  });
  source.addEventListener("judged", () => { judged = true; refresh(); });
  source.addEventListener("end", async () => {
    source.close();
    clearTimeout(timer);
    await renewClaims();
    panel = await renew(panel);
    say(panel.getAttribute("aria-label"));
  });
  source.onerror = () => { // refused for now: a stream that only broke comes back by itself
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => { panel.dataset.after = seen; listen(panel, say); }, RETRY);
  };
}
