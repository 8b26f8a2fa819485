// The only JavaScript in the browser. The pages work without it; with it they mark what changed since the last look, and wait
// for a killed gateway to come back.

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
})();
`;
