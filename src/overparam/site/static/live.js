// Live runs: follows a panel by server-sent events, or asks again while its request waits. Pages work without it.
const [RENEW, SAY, WAIT, RETRY] = [1000, 5000, 2000, 10000]; // a panel is fetched and read out no more often
const parse = (text) => new DOMParser().parseFromString(text, "text/html");
const time = (s) => (s < 60 ? `${Math.round(s)} s` : s < 3570 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);
const left = (s) => (s === null ? "" : s < 10 ? "a few seconds left" : `about ${time(s)} left`);

async function renew(panel) {
  const { run, request } = panel.dataset;
  const answer = await fetch(run ? `/runs/${run}/panel` : `/requests/${request}/panel`).catch(() => null);
  const fresh = answer?.ok && parse(await answer.text()).querySelector("[data-run]");
  if (!fresh) return panel;
  const focused = panel.contains(document.activeElement);
  for (const link of fresh.querySelectorAll("a")) if (link.pathname === location.pathname) link.remove();
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
  const place = Object.assign(document.createElement("p"), { className: "vh", role: "status" });
  panel.after(place);
  let next, timer;
  return (words) => {
    next = words;
    timer ??= setTimeout(() => { timer = undefined; place.textContent = next; }, SAY);
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
  let seen = after, stood, timer, judged = false, work = Promise.resolve();
  const update = (claims) => (work = work.then(async () => { // one after the other, so that the newest stays
    if (claims) await renewClaims();
    panel = await renew(panel);
  }));
  const refresh = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      if (document.hidden) return refresh();
      update(judged);
      judged = false;
    }, RENEW);
  };
  source.addEventListener("progress", (event) => {
    const told = JSON.parse(event.data);
    const [bar, now] = ["progress", "[data-now]"].map((part) => panel.querySelector(part));
    seen = event.lastEventId;
    if (bar) [bar.max, bar.value] = [told.planned || 1, told.done + told.failed];
    panel.querySelector("[data-left]").textContent = left(told.left);
    now.hidden = !told.note;
    now.textContent = `Now: ${told.experiment.replaceAll("_", " ")}, ${told.note}`;
    say(`${told.done} of ${told.planned} trials done`);
    if (stood !== (stood = `${told.state} ${told.done + told.failed}`)) refresh();
  });
  source.addEventListener("judged", () => { judged = true; refresh(); });
  source.addEventListener("end", async () => {
    source.close(), clearTimeout(timer);
    await update(true);
    say(panel.getAttribute("aria-label"));
  });
  source.onerror = () => { // refused for now: a stream that only broke comes back by itself
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => { panel.dataset.after = seen; listen(panel, say); }, RETRY);
  };
}
