// The page "What happens": the last calls of the stores, live.

import type { FastifyPluginAsync } from 'fastify';
import { type Html, html } from './html.ts';
import { bar, clock, count, document, end, type Frame, sendPage } from './page.ts';
import { KEPT_CALLS, type RecentCall, RecentCalls, type SentRequest } from './recent-calls.ts';

/**
 * The page and its feed, as a Fastify plugin. Register it where there are no sessions: the browser asks the feed once a second, and
 * would load a session each time.
 */
export function callsRoutes(frame: Frame): FastifyPluginAsync {
  return async (app) => {
    const recent = new RecentCalls();
    app.addHook('onClose', async () => recent.stop());
    app.get('/', async (_request, reply) => sendPage(reply, 200, callsPage(frame, recent.list)));
    app.get('/latest', async (_request, reply) => sendPage(reply, 200, latest(frame, recent.list)));
  };
}

function callsPage(frame: Frame, calls: readonly RecentCall[]): Html {
  const body = html`${bar(frame)}
<main class="wide pad">
  <section class="head"><div>
    <h1>What happens</h1>
    <p class="quiet">The last ${KEPT_CALLS} calls of the session store and of the stores of sealed items, as they publish them. Open the
    <a href="/">gateway</a> in a second window and use its buttons: this page follows.</p>
  </div><p class="live quiet" role="status"></p></section>
  <div data-feed="/calls/latest">${latest(frame, calls)}</div>
</main>
${end}`;
  // Without JavaScript, the whole page is loaded again.
  return document('What happens', body, html`<noscript><meta http-equiv="refresh" content="3"></noscript>\n`);
}

/** What the browser asks for again and again. */
function latest({ process, place }: Frame, calls: readonly RecentCall[]): Html {
  if (calls.length === 0)
    return html`<p class="since" data-pid="${process.pid}">Process ${process.pid} has made no call yet. <a href="/">Sign in</a> or reload the gateway's page.</p>`;
  const sum = (service: 'dynamodb' | 'kms') => count(calls.reduce((total, { requests }) => total + requests[service], 0));
  const keyed = calls.filter(({ keyCacheHit }) => keyCacheHit !== undefined);
  const hits = keyed.filter(({ keyCacheHit }) => keyCacheHit);
  return html`<p class="since tally" data-pid="${process.pid}">Process <b>${process.pid}</b>. Calls: <b>${calls.length}</b>. Requests to DynamoDB: <b>${sum('dynamodb')}</b>,
  to KMS: <b>${sum('kms')}</b>. The data key was cached in <b>${hits.length}</b> of <b>${keyed.length}</b> calls that needed one.
  ${place.isLocal && 'In local mode, the table and the key are files, so no requests are sent.'}</p>
<table class="calls">
<thead><tr><th scope="col">Answered</th><th scope="col">Call</th><th scope="col">Session</th><th scope="col">Result</th><th scope="col">Requests</th><th scope="col">Data key</th><th scope="col">Time</th></tr></thead>
<tbody>${calls.map(row)}
</tbody></table>`;
}

function row(call: RecentCall): Html {
  const { number, operation, component, session, result, hasFailed, requests, sent, keyCacheHit, milliseconds, answeredAt } =
    call;
  return html`
<tr data-number="${number}">
  <td data-label="Answered">${clock(answeredAt)}</td>
  <td data-label="Call"><b>${operation}</b> <small>${component === 'sealed-store' && 'sealed item'}</small></td>
  <td data-label="Session"><code>${session ?? '–'}</code></td>
  <td data-label="Result" class="${hasFailed && 'failed'}">${result}</td>
  <td data-label="Requests">${total(requests)} ${sent.length > 0 && html`<small>${listed(call)}</small>`}</td>
  <td data-label="Data key">${keyCacheHit === undefined ? '–' : keyCacheHit ? 'cached' : 'not cached'}</td>
  <td data-label="Time">${millis(milliseconds)}</td>
</tr>`;
}

function total({ dynamodb, kms }: RecentCall['requests']): string {
  const parts = [dynamodb > 0 && `${count(dynamodb)} DynamoDB`, kms > 0 && `${count(kms)} KMS`];
  return parts.filter(Boolean).join(', ') || 'none';
}

function listed({ requests, sent }: RecentCall): string {
  const more = requests.dynamodb + requests.kms - sent.length;
  return [...sent.map(told), ...(more > 0 ? [`and ${count(more)} more`] : [])].join(', ');
}

/** Such as `GetItem 3.1 ms`; of a failure `PutItem 503 in 2.0 ms`. */
function told({ operation, attempt, milliseconds, status }: SentRequest): string {
  const trouble = [attempt > 1 && `(attempt ${attempt})`, status !== 200 && `${status ?? 'no answer'} in`].filter(Boolean);
  return [operation, ...trouble, millis(milliseconds)].join(' ');
}

function millis(milliseconds: number): string {
  return `${milliseconds.toFixed(milliseconds < 100 ? 1 : 0)} ms`;
}
