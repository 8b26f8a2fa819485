// Every page: the gateway's two faces, the provider's consent page, and problems. Server-rendered, nothing from elsewhere.

import { createHash } from 'node:crypto';
import type { EncryptedSessionRecord } from 'connect-dynamodb-kms';
import type { FastifyReply } from 'fastify';
import type { Device } from './devices.ts';
import type { Connection, User } from './gateway.ts';
import { type Html, html, trusted } from './html.ts';
import { script } from './script.ts';
import { type ServiceId, scopes, services } from './services.ts';
import type { Place } from './settings.ts';
import { style } from './style.ts';

/** The running gateway, as the pages show it. */
export interface GatewayProcess {
  pid: number;
  startedAt: Date;
}

/** What the bar at the top of every page of the gateway shows. */
export interface Frame {
  process: GatewayProcess;
  place: Place;
}

/** How many of a user's sessions the page names. */
const SHOWN_SESSIONS = 6;
const LARGEST_ITEM = 409_600; // bytes, DynamoDB's limit

const lock = '<rect x="4" y="10.5" width="16" height="10" rx="2.5"/><path d="M8 10.5V7a4 4 0 0 1 8 0v3.5M12 14.5v2"/>';
const strokes = 'viewBox="0 0 24 24" fill="none" stroke-width="2.2" stroke-linecap="round"';
const icon = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" ${strokes} stroke="#1a9b70">${lock}</svg>`)}`;

const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src '${hash(style)}'`,
  `script-src '${hash(script)}'`,
  "connect-src 'self'",
  'img-src data:',
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Sends a page with the headers that it needs. Return what this returns from an `async` handler. */
export function sendPage(reply: FastifyReply, status: number, page: Html): FastifyReply {
  return reply
    .code(status)
    .headers({
      'content-security-policy': contentSecurityPolicy,
      'cache-control': 'no-store', // the pages show a session
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    })
    .type('text/html; charset=utf-8')
    .send(page.text);
}

export function document(title: string, body: Html, head?: Html): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="${icon}">
${head}<style>${trusted(style)}</style>
</head>
<body>
${body}
<script>${trusted(script)}</script>
</body>
</html>
`;
}

export function bar({ process, place }: Frame, right?: Html): Html {
  return html`<header class="bar"><div class="wide">
  <a class="brand" href="/"><svg ${trusted(strokes)} stroke="currentColor" aria-hidden="true">${trusted(lock)}</svg>A small MCP gateway</a>
  <p class="facts"><span data-watch="process" data-digest="${digest(process.pid)}">process <b>${process.pid}</b> <span class="flag">changed</span></span> <span>started <b>${clock(process.startedAt)}</b></span> <span>sessions in ${place.table}</span></p>
  <a href="/calls">What happens</a>
  ${right}
</div></header>`;
}

/** The start page of a visitor who is not signed in. */
export function signedOutPage({ notice, ...frame }: Frame & { notice: string | undefined }): Html {
  const notices: Record<string, string> = {
    'signed-out': 'You are signed out. The record is gone from the table, so the old cookie is useless.',
    denied: 'You refused at the provider. Nothing was connected.',
  };
  const text = notice !== undefined && Object.hasOwn(notices, notice) ? notices[notice] : undefined;
  const body = html`${bar(frame)}
<main class="wide pad">
  ${text && html`<p class="notice" role="status">${text}</p>`}
  <section class="welcome">
    <h1>A gateway whose sessions are encrypted in the table</h1>
    <p>This gateway keeps OAuth tokens in its sessions. The session store encrypts every session under its own key before it leaves
    the process. Sign in, look at the session in all three places, and kill the process: you are still signed in.</p>
    <a class="button first" href="/login">Sign in with a simulated provider</a>
  </section>
  <div class="stations small">
    <article class="station browser"><header><h2>The browser</h2></header><p class="in">Has a cookie: a random id and a signature. No name, no token.</p></article>
    <article class="station gateway"><header><h2>The gateway</h2></header><p class="in">Decrypts the session while it answers a request, and uses the tokens in it.</p></article>
    <article class="station table"><header><h2>The table</h2></header><p class="in">Holds ciphertext. Its data key is wrapped by ${frame.place.wrappedBy}.</p></article>
  </div>
</main>
${end}`;
  return document('A small MCP gateway', body);
}

export const end = html`<footer class="end"><p class="wide">An example of connect-dynamodb-kms. The provider and its tokens are simulated; the encryption is real.</p></footer>`;

interface SignedIn extends Frame {
  user: User;
  connections: Partial<Record<ServiceId, Connection>>;
  cookie: { name: string; value: string };
  /** What `JSON.stringify` writes of the session, parsed again. */
  session: unknown;
  record: EncryptedSessionRecord | null;
  devices: Device[];
}

/** The start page of somebody who is signed in: the session in the browser, in the gateway and in the table. */
export function signedInPage(view: SignedIn): Html {
  const connected = Object.keys(view.connections) as ServiceId[];
  const next = (Object.keys(services) as ServiceId[]).find((service) => !connected.includes(service));
  const logout = html`<form method="post" action="/logout"><button class="button">Log out</button></form>`;
  const body = html`${bar(view, logout)}
<main class="wide">
  <section class="head">
    <div>
      <h1>Signed in as ${view.user.name}</h1>
      <p class="quiet">One session, three places. The secrets are readable in only one of them, while the gateway runs.</p>
    </div>
    <ul class="connected" aria-label="Connected services">
      ${connected.map((service) => html`<li class="chip">${letter(service)}${services[service].name}</li>`)}
      <li><a class="button" href="/login${next && `?service=${next}`}">${next ? `Connect ${services[next].name}` : 'Connect again'}</a></li>
    </ul>
  </section>
  <p class="since" role="status">Reload, or use the buttons below: changes since you last looked are marked.</p>
  <div class="stations">
    ${browserPanel(view)}
    ${gatewayPanel(view)}
    ${tablePanel(view)}
  </div>
  ${tryThis(view, next)}
</main>
${end}`;
  return document(`Signed in as ${view.user.name}`, body);
}

function browserPanel({ cookie, record }: SignedIn): Html {
  const dot = cookie.value.lastIndexOf('.');
  return html`<article class="station browser" data-watch="cookie" data-digest="${digest(cookie.value)}">
  <header><span class="state">No secrets</span> <span class="flag">changed</span><span class="size">${size(cookie.value)}</span><h2>What the browser has</h2>
  <p>A cookie, as it came with this request: the session's id, and a signature so that nobody can make up an id.</p></header>
  <div class="in">
    <pre class="well">${cookie.name}=<span class="id">${cookie.value.slice(0, dot)}</span><span class="signature">${cookie.value.slice(dot)}</span></pre>
    <dl class="plain">
      <dt>HttpOnly</dt><dd>yes: no script can read it</dd>
      <dt>SameSite</dt><dd>Lax: other sites cannot post with it</dd>
      <dt>Secure</dt><dd>on HTTPS only</dd>
      <dt>Expires</dt><dd>${record ? day(new Date(record.ttl * 1000)) : 'with the session'}</dd>
    </dl>
    <p class="stolen"><b>If it is stolen:</b> the thief is signed in here until you log out or the session ends. This page shows the tokens, too; a real gateway does not.</p>
  </div>
</article>`;
}

function gatewayPanel({ session }: SignedIn): Html {
  const bytes = size(JSON.stringify(session));
  const lines = JSON.stringify(session, null, 2).split('\n');
  const content = lines.map((line) => {
    const token = /^(\s*"(?:accessToken|refreshToken)": ")(.*)(",?)$/.exec(line);
    return token ? html`${token[1]}<mark>${token[2]}</mark>${token[3]}\n` : html`${line}\n`;
  });
  // The cookie's end moves with the clock at every request; what was sealed is the rest.
  const { cookie: _, ...sealed } = session as Record<string, unknown>;
  return html`<article class="station gateway" data-watch="session" data-digest="${digest(JSON.stringify(sealed))}">
  <header><span class="state">Secrets in the clear</span> <span class="flag">changed</span><span class="size">${bytes}</span><h2>What the gateway sees</h2>
  <p>The session of this request, including its tokens. A real gateway never shows them; <a href="/me">/me</a> gives fingerprints.</p></header>
  <div class="in">
    <pre class="well">${content}</pre>
    <p class="stolen"><b>If it is stolen:</b> somebody who can read the memory of the running process has the tokens. The store never writes them in the clear.</p>
  </div>
</article>`;
}

function tablePanel({ record, place }: SignedIn): Html {
  if (!record)
    return html`<article class="station table"><header><h2>What is in the table</h2><p>There is no record.</p></header></article>`;
  const ends = new Date(record.ttl * 1000);
  const attributes: [name: keyof EncryptedSessionRecord, about: string, note?: string][] = [
    ['sessionId', "The record's key: the session's id, without the cookie's signature."],
    ['encryptedData', 'The session as JSON, sealed with AES-256-GCM.', bytes(storedSize('encryptedData', record.encryptedData))],
    [
      'encryptedKey',
      `This session's own data key, wrapped by ${place.wrappedBy}.`,
      bytes(storedSize('encryptedKey', record.encryptedKey)),
    ],
    ['iv', '12 random bytes, new with every write.'],
    ['authTag', '16 bytes, new with every write. If one bit of anything except ttl is changed, the record cannot be opened.'],
    ['ttl', 'When the session ends; some time later the record is deleted.', day(ends)],
    [
      'notAfter',
      'The latest end of the session, whatever ttl says. It is authenticated, and new with every write.',
      day(new Date(record.notAfter! * 1000)),
    ],
    ['salt', '16 random bytes, as old as the data key. The encryption key is derived from both.'],
    ['commit', 'Commits the record to its data key, and stays as long as that key.'],
    ['version', "The record's format: bound to its table and session, so that it cannot be opened elsewhere."],
    ['user', 'The HMAC of your e-mail address under a secret. It leads to the list of your sessions.'],
    ['userEntry', "The number of this session's entry on that list, new with every login."],
  ];
  const total = Object.entries(record).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + storedSize(name, value), 0);
  return html`<article class="station table">
  <header><span class="state">Secrets sealed</span><span class="size">${count(total)} of ${count(LARGEST_ITEM)} bytes</span><h2>What is in the table</h2>
  <p>What a reader of the table or of its backup gets of the session, attribute by attribute. The list of your sessions names you by a keyed hash.</p></header>
  <div class="in"><dl class="attributes">${attributes.map(
    ([name, about, note]) => html`
    <div data-watch="${name}" data-digest="${digest(record[name]!)}">
      <dt>${name}<span class="flag">changed</span>${note && html`<small>${note}</small>`}</dt>
      <dd class="about">${about}</dd>
      <dd class="value">${record[name]!}</dd>
    </div>`,
  )}
  </dl>
  <p class="stolen"><b>If it is stolen:</b> without the wrapping key, nothing can be decrypted. Visible are a size, an end, and an id that is no cookie without a signature.</p></div>
</article>`;
}

/** The store gives bytes in base64; the table holds them as they are. */
function storedSize(name: string, value: string | number): number {
  const isText = name === 'sessionId' || typeof value === 'number';
  return isText ? Buffer.byteLength(String(value)) : Buffer.from(value, 'base64').length;
}

function tryThis({ process, devices }: SignedIn, next: ServiceId | undefined): Html {
  return html`<section class="try" aria-labelledby="try">
  <h2 id="try">Try this</h2>
  <ol class="cards">
    <li class="card">
      <h3>Kill the gateway</h3>
      <p>Process ${process.pid}, started ${clock(process.startedAt)}. Kill it without a warning, here or with <code>kill -9 ${process.pid}</code>, start it again
      and reload: you are still signed in.</p>
      ${effect('process', 'the session')}
      <form class="foot" method="post" action="/crash" data-pid="${process.pid}"><button class="button first">Kill the gateway</button><span class="quiet" role="status"></span></form>
    </li>
    <li class="card">
      <h3>Reload</h3>
      <p>Nothing in the session changes, so nothing is written. The data key is still in memory, so nothing is unwrapped either.</p>
      ${effect('nothing', 'everything')}
      <div class="foot"><a class="button" href="/">Reload</a></div>
    </li>
    <li class="card">
      <h3>Touch</h3>
      <p>Gives the session another seven days. Only its end moves in the table; the content is not sealed again.</p>
      ${effect('ttl', 'iv, authTag, encryptedData')}
      <form class="foot" method="post" action="/touch"><button class="button">Touch</button></form>
    </li>
    <li class="card">
      <h3>Refresh the tokens</h3>
      <p>New tokens in the session: it is sealed again, with a new IV, under the data key it has. If many requests ask at once, on any number of servers, the provider is asked once.</p>
      ${effect('session, encryptedData, iv, authTag, notAfter', 'cookie, encryptedKey, salt, commit, ttl')}
      <form class="foot" method="post" action="/refresh"><button class="button">Refresh</button></form>
    </li>
    <li class="card">
      <h3>${next ? 'Connect another service' : 'Connect a service again'}</h3>
      <p>Every login gives the session a new id, against session fixation: another cookie, another record, another data key.</p>
      ${effect('everything but version and user', 'what you had connected')}
      <div class="foot"><a class="button" href="/login${next && `?service=${next}`}">${next ? `Connect ${services[next].name}` : 'Connect again'}</a></div>
    </li>
    <li class="card">
      <h3>Call without a cookie</h3>
      <p>Makes a bearer token for a client that is no browser. The token is a sealed item of its own in the table; the session does not change.</p>
      ${effect('nothing', 'everything')}
      <form class="foot" method="post" action="/bearer"><button class="button">Make a token</button></form>
    </li>
    <li class="card">
      <h3>Log out everywhere else</h3>
      <p>Everybody is Ada Lovelace here. Sign in with another browser or in a private window, and end that session from here: its next request is a stranger's, on every server.</p>
      <ul class="sessions" aria-label="Your sessions">${devices.slice(0, SHOWN_SESSIONS).map(
        (one) => html`
        <li><span><b>${one.device}</b> <span class="quiet">${one.signedInAt && day(one.signedInAt)}</span></span>${
          one.isThis
            ? html`<span class="quiet">this one</span>`
            : html`<form method="post" action="/sessions/${one.name}/end"><button class="button">End</button></form>`
        }</li>`,
      )}
      ${devices.length > SHOWN_SESSIONS && html`<li class="quiet">and ${count(devices.length - SHOWN_SESSIONS)} more</li>`}</ul>
      ${effect('your other sessions are gone', 'this session')}
      <form class="foot" method="post" action="/sessions/end-others"><button class="button">Log out everywhere else</button></form>
    </li>
    <li class="card">
      <h3>Log out</h3>
      <p>The record leaves the table. A copied cookie is useless.</p>
      ${effect('the record is gone', 'nothing')}
      <form class="foot" method="post" action="/logout"><button class="button">Log out</button></form>
    </li>
  </ol>
</section>`;
}

function effect(changes: string, stays: string): Html {
  return html`<dl class="effect"><dt>changes</dt><dd class="moves">${changes}</dd><dt>stays</dt><dd>${stays}</dd></dl>`;
}

/** The provider's page: which service, and may the gateway have what it asks for? */
export function consentPage({ client_id: client, scope }: { client_id: string; scope: string }, chosen: ServiceId): Html {
  const asked = scope.split(' ').filter((name): name is keyof typeof scopes => Object.hasOwn(scopes, name));
  const body = html`<main class="sheet">
  <p class="top">Simulated provider: no real account, no network</p>
  <h1>Let ${client} in?</h1>
  <form method="post">
    <p class="quiet">You are Ada Lovelace here. Pick a service.</p>
    <fieldset><legend>Service</legend>
      ${(Object.keys(services) as ServiceId[]).map(
        (
          service,
        ) => html`<label class="choice"><input type="radio" name="service" value="${service}"${service === chosen && trusted(' checked')}>${letter(service)}<span><b>${services[service].name}</b><span>${services[service].offers}, as ${services[service].account}</span></span></label>
      `,
      )}</fieldset>
    <fieldset><legend>It asks to</legend>
      <ul class="asks">${asked.map((name) => html`<li>${scopes[name]} <code>${name}</code></li>`)}</ul>
    </fieldset>
    <div class="row"><button class="button first" name="decision" value="allow">Allow</button><button class="button" name="decision" value="deny">Cancel</button></div>
  </form>
</main>`;
  return document(`Let ${client} in?`, body);
}

/** A bearer token, shown once. */
export function bearerPage(address: string, token: string): Html {
  const body = html`<main class="sheet"><h1>A bearer token</h1><div class="text">
  <p>It stands for your session for an hour, until you log out. In a terminal:</p>
  <pre class="well">curl -H 'Authorization: Bearer ${token}' ${address}</pre>
  <a class="button first" href="/">Go back</a></div></main>`;
  return document('A bearer token', body);
}

/** What went wrong, and the way back. */
export function problemPage(title: string, text: string): Html {
  const body = html`<main class="sheet"><h1>${title}</h1><div class="text"><p>${text}</p><a class="button first" href="/">Go to the start page</a></div></main>`;
  return document(title, body);
}

/** Shown without JavaScript while the gateway is being killed; asks for the start page again by itself. */
export function restartingPage(): Html {
  const text = html`<p>This page reloads when the gateway is back. If nothing restarts it, start it and reload.</p>`;
  const body = html`<main class="sheet"><h1>The gateway was killed</h1><div class="text">${text}<a class="button first" href="/">Reload</a></div></main>`;
  return document('The gateway was killed', body, html`<meta http-equiv="refresh" content="3;url=/">\n`);
}

function letter(service: ServiceId): Html {
  return html`<span class="letter ${service}" aria-hidden="true">${services[service].name.charAt(0)}</span>`;
}

export function clock(date: Date): string {
  return `${date.toISOString().slice(11, 19)} UTC`;
}

function day(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function size(text: string): string {
  return bytes(Buffer.byteLength(text));
}

function bytes(number: number): string {
  return `${count(number)} bytes`;
}

export function count(number: number): string {
  return number.toLocaleString('en');
}

function hash(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

function digest(value: string | number): string {
  return createHash('sha256').update(String(value)).digest('hex').slice(0, 16);
}
