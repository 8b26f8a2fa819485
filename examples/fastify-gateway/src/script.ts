// The only JavaScript in the browser. The pages work without it; with it they mark what changed since the last look, wait for
// a killed gateway to come back, and follow the calls of the stores.

export const script = `
(() => {
  // Only digests are kept, and only until the tab is closed.
  const watched = [...document.querySelectorAll('[data-watch]')];
  const before = JSON.parse(sessionStorage.getItem('last-look'));
  const since = document.querySelector('.since');
  if (!since) sessionStorage.removeItem('last-look');
  else sessionStorage.setItem('last-look', JSON.stringify(Object.fromEntries(watched.map((one) => [one.dataset.watch, one.dataset.digest]))));

  if (before && since) {
    const changed = watched.filter((one) => before[one.dataset.watch] !== one.dataset.digest);
    for (const one of changed) one.classList.add('changed');
    const names = changed.map((one) => one.dataset.watch);
    const bold = document.createElement('b');
    bold.textContent = names.length > 0 ? names.join(', ') : 'nothing';
    since.classList.toggle('same', names.length === 0);
    since.replaceChildren('Changed since your last look: ', bold);
  }

  const crash = document.querySelector('form[data-pid]');
  crash?.addEventListener('submit', async (event) => {
    event.preventDefault();
    const status = crash.querySelector('[role=status]');
    crash.querySelector('button').disabled = true;
    await fetch(crash.action, { method: 'POST' }).catch(() => {});
    const killedAt = Date.now();
    for (;;) {
      const waited = Date.now() - killedAt;
      status.textContent = waited < 5000 ? 'Killed. Waiting for it…' : 'Still down. Start it again: npm start';
      await new Promise((done) => setTimeout(done, 300));
      const ready = await fetch('/ready').then((answer) => answer.json()).catch(() => ({}));
      if (ready.ready && String(ready.pid) !== crash.dataset.pid) return location.reload();
    }
  });

  const feed = document.querySelector('[data-feed]');
  if (feed) follow();
  async function follow() {
    const status = document.querySelector('.live');
    const numberOf = (row) => Number(row.dataset.number);
    let shown = '';
    for (;;) {
      const text = await fetch(feed.dataset.feed).then((answer) => answer.ok && answer.text()).catch(() => false);
      status.textContent = text === false ? 'The gateway does not answer. Waiting for it…' : 'Live';
      status.classList.toggle('down', text === false);
      if (text !== false && text !== shown) {
        const last = Math.max(0, ...[...feed.querySelectorAll('tr[data-number]')].map(numberOf));
        const pid = feed.querySelector('[data-pid]').dataset.pid;
        feed.innerHTML = text; // escaped by the gateway
        // Another process: the bar has to name it, too.
        if (feed.querySelector('[data-pid]').dataset.pid !== pid) return location.reload();
        for (const row of feed.querySelectorAll('tr[data-number]')) row.classList.toggle('new', numberOf(row) > last);
        shown = text;
      }
      await new Promise((done) => setTimeout(done, 1000));
      // Nobody looks: wait until somebody does.
      if (document.hidden) await new Promise((done) => document.addEventListener('visibilitychange', done, { once: true }));
    }
  }
})();
`;
