// The look of every page. One string, so that the Content-Security-Policy can name it by its hash.

export const style = `
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --sheet: #ffffff; --ink: #17202b; --quiet: #566373; --line: #dde2e8; --well: #f3f5f8;
  --action: #1d4fd7; --action-ink: #ffffff; --focus: #1d4fd7;
  --browser: #1d5fc4; --browser-soft: #e8f0fd;
  --gateway: #9a5200; --gateway-soft: #fdf0dc;
  --table: #0b6e4f; --table-soft: #e2f5ec;
  --changed: #a11d6b; --changed-soft: #fce8f3;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0e1319; --sheet: #161d26; --ink: #e6ebf1; --quiet: #9daaba; --line: #2a3441; --well: #10161d;
    --action: #7ea6ff; --action-ink: #0b1220; --focus: #9dbcff;
    --browser: #86b4ff; --browser-soft: #16263f;
    --gateway: #f3b45f; --gateway-soft: #33250f;
    --table: #63d3a6; --table-soft: #10301f;
    --changed: #ff9bd0; --changed-soft: #3a1529;
  }
}
*, *::before, *::after { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1, h2, h3, p, ul, ol, dl, dd, pre, fieldset { margin: 0; padding: 0; }
ul, ol { list-style: none; }
h1 { font-size: clamp(1.7rem, 1.2rem + 2vw, 2.35rem); line-height: 1.15; letter-spacing: -.02em; font-weight: 700; text-wrap: balance; }
h2 { font-size: 1.06rem; line-height: 1.3; letter-spacing: -.005em; font-weight: 650; }
h3 { font-size: 1rem; line-height: 1.35; font-weight: 650; }
code, pre, .value { font-family: var(--mono); font-size: .8125rem; line-height: 1.55; }
.station pre, .value { font-size: .75rem; line-height: 1.6; }
a { color: var(--action); text-underline-offset: .18em; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 6px; }
.wide { width: min(100% - 2.5rem, 82rem); margin-inline: auto; }
.quiet { color: var(--quiet); }

.bar { background: var(--sheet); border-bottom: 1px solid var(--line); }
.bar > div { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; min-height: 3.5rem; padding-block: .55rem; }
.brand { display: flex; align-items: center; gap: .6rem; font-weight: 650; color: inherit; text-decoration: none; }
.brand svg { width: 1.35rem; height: 1.35rem; color: var(--table); }
.facts { display: flex; flex-wrap: wrap; gap: .1rem 1.25rem; margin-left: auto; font-size: .875rem; color: var(--quiet); }
.facts b { font: 600 .8125rem/1.5 var(--mono); color: var(--ink); }

.button { display: inline-block; padding: .5rem .95rem; border: 1px solid var(--line); border-radius: 8px; background: var(--sheet); color: var(--ink); font: inherit; font-weight: 600; font-size: .9375rem; line-height: 1.4; text-decoration: none; cursor: pointer; }
.button:hover { border-color: var(--quiet); }
.button.first { border-color: transparent; background: var(--action); color: var(--action-ink); }
.button.first:hover { filter: brightness(1.08); }
.button:disabled { opacity: .55; cursor: default; }

.notice { margin-top: 1.5rem; padding: .75rem 1rem; border: 1px solid var(--line); border-left: 4px solid var(--table); border-radius: 8px; background: var(--sheet); }

.head { display: flex; flex-wrap: wrap; align-items: end; justify-content: space-between; gap: 1.25rem 2rem; padding-block: 2.25rem 1.25rem; }
.head > div { flex: 1 1 30rem; }
.head .quiet { margin-top: .35rem; max-width: 62ch; }
.connected { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.chip { display: inline-flex; align-items: center; gap: .5rem; padding: .3rem .75rem .3rem .35rem; border: 1px solid var(--line); border-radius: 99px; background: var(--sheet); font-size: .875rem; font-weight: 600; }
.letter { display: inline-grid; place-items: center; flex: none; width: 1.5rem; height: 1.5rem; border-radius: 50%; color: #fff; font-size: .78rem; font-weight: 700; }
.letter.google { background: #1a66d6; } .letter.hubspot { background: #c2410c; } .letter.slack { background: #6b2a72; }

.since { min-height: 2.75rem; margin-bottom: 1rem; padding: .6rem .9rem; border: 1px dashed var(--line); border-radius: 8px; font-size: .9375rem; color: var(--quiet); overflow-wrap: anywhere; }
.since b { color: var(--changed); font-weight: 650; }
.since.same b { color: var(--table); }
.since.tally b { color: var(--ink); }

.stations { display: grid; gap: 1rem 1.75rem; grid-template-columns: minmax(0, .62fr) minmax(0, 1.03fr) minmax(0, 1.18fr); align-items: start; }
.station { --tone: var(--quiet); --soft: var(--well); position: relative; display: flex; flex-direction: column; min-width: 0; border: 1px solid var(--line); border-top: 4px solid var(--tone); border-radius: 10px; background: var(--sheet); }
.station.browser { --tone: var(--browser); --soft: var(--browser-soft); }
.station.gateway { --tone: var(--gateway); --soft: var(--gateway-soft); }
.station.table { --tone: var(--table); --soft: var(--table-soft); }
.station + .station::before { content: "\\2192"; position: absolute; left: -1.62rem; top: 1.1rem; width: 1.5rem; text-align: center; font-size: 1.15rem; line-height: 1; color: var(--quiet); }
.station > header { padding: .95rem 1.1rem .9rem; }
.station > header p { margin-top: .35rem; font-size: .9rem; line-height: 1.5; color: var(--quiet); }
.state { display: inline-block; margin-bottom: .55rem; padding: .1rem .6rem; border-radius: 99px; background: var(--soft); color: var(--tone); font-size: .8rem; font-weight: 650; }
.station > .in { padding: 0 1.1rem 1.1rem; }
.size { float: right; margin-top: .1rem; font-size: .8125rem; color: var(--quiet); font-variant-numeric: tabular-nums; }

.well { padding: .65rem .75rem; border-radius: 7px; background: var(--well); border: 1px solid var(--line); overflow-wrap: anywhere; white-space: pre-wrap; }
mark { word-break: break-all; padding: .05em .15em; border-radius: 3px; background: var(--gateway-soft); color: var(--gateway); -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.id { color: var(--browser); font-weight: 600; } .signature { color: var(--quiet); }

.attributes > div { padding-block: .6rem; border-top: 1px solid var(--line); }
.attributes > div:first-child { border-top: 0; padding-top: 0; }
.attributes dt { display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem .6rem; font-family: var(--mono); font-size: .8125rem; font-weight: 650; }
.attributes dt small { font: 400 .8125rem/1.4 system-ui, sans-serif; color: var(--quiet); margin-left: auto; }
.attributes .about { font-size: .84rem; line-height: 1.45; color: var(--quiet); }
.attributes .value { overflow-wrap: anywhere; margin-top: .15rem; }
.plain { display: grid; grid-template-columns: auto 1fr; gap: .3rem .9rem; margin-top: .85rem; font-size: .875rem; }
.plain dt { color: var(--quiet); } .plain dd { min-width: 0; overflow-wrap: anywhere; }
.stolen { margin-top: 1rem; padding-top: .8rem; border-top: 1px solid var(--line); font-size: .875rem; line-height: 1.5; color: var(--quiet); }
.stolen b { color: var(--tone); }
.flag { display: none; vertical-align: .05rem; padding: 0 .45rem; border-radius: 99px; background: var(--changed-soft); color: var(--changed); font: 650 .75rem/1.55 system-ui, sans-serif; }
.changed .flag { display: inline-block; }

.try { padding-block: 2.5rem 3rem; }
.try > h2 { font-size: 1.35rem; letter-spacing: -.015em; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(3, minmax(0, 1fr)); margin-top: 1rem; }
.card { display: flex; flex-direction: column; gap: .55rem; padding: 1.05rem 1.1rem 1.1rem; border: 1px solid var(--line); border-radius: 10px; background: var(--sheet); }
.card p { font-size: .9375rem; }
.card code { padding: .1rem .35rem; border-radius: 5px; background: var(--well); border: 1px solid var(--line); user-select: all; white-space: nowrap; }
.card .foot { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .75rem; margin-top: auto; padding-top: .35rem; }
.sessions { display: grid; gap: .45rem; }
.sessions li { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .25rem .75rem; padding: .45rem .7rem; border: 1px solid var(--line); border-radius: 8px; background: var(--well); font-size: .875rem; }
.sessions .button { padding: .2rem .7rem; font-size: .8125rem; }
.effect { display: grid; grid-template-columns: auto 1fr; gap: .05rem .6rem; font-size: .84rem; color: var(--quiet); }
.effect dd { font-family: var(--mono); font-size: .79rem; line-height: 1.65; color: var(--ink); }
.effect dd.moves { color: var(--changed); }

.welcome { display: grid; gap: 1.4rem; justify-items: start; padding-block: clamp(2.5rem, 7vw, 5rem) clamp(2rem, 5vw, 3.5rem); }
.welcome h1 { max-width: 30ch; }
.welcome p { max-width: 62ch; text-wrap: pretty; font-size: 1.0625rem; color: var(--quiet); }
.welcome .button { padding: .7rem 1.4rem; font-size: 1.0625rem; }
.small { align-items: stretch; grid-template-columns: repeat(3, minmax(0, 1fr)); }
.small .station .in { font-size: .9375rem; }
.pad { padding-bottom: 3rem; }
.end { padding-block: 1.25rem 2rem; border-top: 1px solid var(--line); font-size: .875rem; color: var(--quiet); }

.sheet { width: min(100% - 2rem, 30rem); margin: clamp(1.25rem, 7vh, 4.5rem) auto 2rem; border: 1px solid var(--line); border-radius: 14px; background: var(--sheet); box-shadow: 0 12px 40px rgb(10 20 40 / .08); }
.sheet > * { padding-inline: 1.6rem; }
.sheet .top { padding-block: .7rem; border-bottom: 1px solid var(--line); font-size: .875rem; color: var(--quiet); }
.sheet h1 { padding-top: 1.4rem; font-size: 1.45rem; }
.sheet form, .sheet .text { display: grid; gap: 1.2rem; padding-block: .5rem 1.6rem; justify-items: start; }
.sheet fieldset { border: 0; display: grid; gap: .5rem; width: 100%; }
.sheet legend { padding: 0 0 .5rem; font-weight: 600; font-size: .9375rem; }
.choice { display: grid; grid-template-columns: auto auto 1fr; align-items: center; gap: .8rem; padding: .65rem .85rem; border: 1px solid var(--line); border-radius: 10px; cursor: pointer; }
.choice:hover { border-color: var(--quiet); }
.choice:has(:checked) { border-color: var(--action); box-shadow: inset 0 0 0 1px var(--action); }
.choice:has(:focus-visible) { outline: 3px solid var(--focus); outline-offset: 2px; }
.choice input { margin: 0; width: 1.05rem; height: 1.05rem; accent-color: var(--action); outline: 0; }
.choice .letter { width: 2rem; height: 2rem; font-size: .95rem; }
.choice b { display: block; line-height: 1.3; font-weight: 650; } .choice span span { font-size: .875rem; color: var(--quiet); }
.asks { display: grid; gap: .35rem; width: 100%; padding: .85rem 1rem; border-radius: 10px; background: var(--well); border: 1px solid var(--line); font-size: .9375rem; }
.asks li { display: flex; flex-wrap: wrap; gap: 0 .75rem; justify-content: space-between; } .asks code { color: var(--quiet); }
.row { display: flex; flex-wrap: wrap; gap: .6rem; }

.live { padding: .15rem .7rem; border: 1px solid var(--line); border-radius: 99px; background: var(--sheet); font-size: .875rem; }
.live:empty { display: none; }
.live:not(.down) { color: var(--table); }
.live.down { color: var(--changed); }
.calls { width: 100%; border-collapse: collapse; border: 1px solid var(--line); background: var(--sheet); font-size: .9rem; font-variant-numeric: tabular-nums; }
.calls th, .calls td { padding: .5rem .75rem; border-top: 1px solid var(--line); text-align: left; vertical-align: baseline; }
.calls th { border-top: 0; font-size: .8125rem; font-weight: 600; color: var(--quiet); }
.calls th:last-child, .calls td:last-child { text-align: right; }
.calls td { white-space: nowrap; }
.calls td:nth-child(5) { white-space: normal; }
.calls td:first-child { color: var(--quiet); }
.calls small { font-size: .8125rem; color: var(--quiet); }
.calls .failed { color: var(--changed); font-weight: 600; }
.calls .new { background: var(--table-soft); }

@media (min-width: 64.01rem) {
  .station.browser { position: sticky; top: 1rem; }
}
@media (max-width: 64rem) {
  .stations, .small { grid-template-columns: minmax(0, 1fr); gap: 1.75rem; }
  .station + .station::before { content: "\\2193"; left: 0; right: 0; width: auto; top: -1.6rem; }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media (max-width: 40rem) {
  .wide { width: min(100% - 1.75rem, 82rem); }
  .cards { grid-template-columns: minmax(0, 1fr); }
  .facts { margin-left: 0; width: 100%; order: 3; }
  .bar form { margin-left: auto; }
  .head { padding-top: 1.5rem; }
  .head > div { flex-basis: 100%; }
  .calls thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .calls, .calls tbody { display: block; }
  .calls tr { display: block; padding: .6rem .9rem; border-top: 1px solid var(--line); }
  .calls tr:first-child { border-top: 0; }
  .calls td, .calls td:last-child { white-space: normal; overflow-wrap: anywhere; text-align: left; }
  .calls td { display: block; position: relative; padding: .1rem 0 .1rem 6rem; border: 0; }
  .calls td::before { content: attr(data-label); position: absolute; left: 0; color: var(--quiet); font-weight: 400; }
}
`;
