// Every fault of every operation of both services, and what the caller sees: the tables of docs/faults.md. FAULTS_WRITE=1 writes them as they are now.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { it } from 'node:test';
import { startAws } from '../support/backends.ts';
import { cells, type FaultCell, OPERATIONS } from '../support/fault-cells.ts';
import { Microburst } from '../support/microburst.ts';
import { OddServer } from '../support/odd-server.ts';
import { TableItems } from '../support/table-items.ts';

const DOCUMENT = new URL('../../docs/faults.md', import.meta.url);
const BETWEEN = /(?<=<!-- matrix -->\n).*(?=\n<!-- \/matrix -->)/s;

/** How many requests of its operation a cell made, by its region. */
type Requests = (cell: FaultCell) => number;

function cellText(cell: FaultCell, requests: Requests): string {
  const count = requests(cell);
  const tries = cell.fault.timed && cell.strikes === 'always' ? 'until the deadline' : `${count}`;
  return `${cell.outcome} (${tries})`;
}

function matrix(all: FaultCell[], requests: Requests, left: (cell: FaultCell) => string): string {
  const sections = OPERATIONS.map((operation) => {
    const own = all.filter((cell) => cell.operation === operation);
    const rows = own
      .filter(({ strikes }) => strikes === 'once')
      .map((once) => {
        const always = own.find((cell) => cell.fault === once.fault && cell.strikes === 'always')!;
        const states = [...new Set([left(once), left(always)])];
        const table = states.length === 1 ? states[0] : `${states[0]}; ${states[1]}`;
        return `| ${once.fault.name} | ${cellText(once, requests)} | ${cellText(always, requests)} | ${table} |`;
      });
    const head = ['| fault | once | for good | in the table then |', '|---|---|---|---|'];
    return [`### ${operation.name}: \`${operation.call}\``, '', ...head, ...rows].join('\n');
  });
  return `\n${sections.join('\n\n')}\n`;
}

/** The rows that are not the same in both, each with the heading above it: of tables this long, a report of both whole hides them. */
function differences(now: string, documented: string): string[] {
  const rows = (text: string) => {
    let heading = '';
    return text.split('\n').map((line) => {
      if (line.startsWith('### ')) heading = line;
      return `${heading} ${line}`;
    });
  };
  const [found, expected] = [rows(now), rows(documented)];
  return [
    ...expected.filter((row) => !found.includes(row)).map((row) => `documented: ${row}`),
    ...found.filter((row) => !expected.includes(row)).map((row) => `found: ${row}`),
  ];
}

async function inLanes(count: number, waiting: FaultCell[]): Promise<void> {
  const lane = async () => {
    for (let cell = waiting.pop(); cell; cell = waiting.pop()) await cell.run();
  };
  await Promise.all(Array.from({ length: count }, lane));
}

it('every fault has the outcome that docs/faults.md says, and leaves a store that works when it is over', {
  timeout: 300_000,
}, async (t) => {
  const all = cells();
  const backend = await startAws(all.flatMap(({ keyArn }) => ['--key-arn', keyArn]));
  t.after(() => backend.stop());
  const { aws } = backend;
  const proxies = await Microburst.start(aws);
  t.after(() => proxies.stop());
  const odd = [await OddServer.start(aws.dynamodb), await OddServer.start(aws.kms)];
  t.after(() => Promise.all(odd.map((server) => server.close())));
  const items = new TableItems(aws);
  t.after(() => items.close());

  for (const cell of all) {
    const [dynamodbEndpoint, kmsEndpoint] = cell.fault.oddity ? odd.map(({ url }) => url) : [proxies.dynamodb, proxies.kms];
    await cell.prepare(backend, { dynamodbEndpoint, kmsEndpoint });
  }
  await aws.reset();
  const injected = all.filter(({ fault }) => fault.rule);
  await proxies.rules(injected.map((cell) => ({ ...cell.matches, ...cell.fault.rule!(cell.operation) })));
  for (const server of odd) {
    server.rules = all.flatMap((cell) => {
      const { oddity, forwards } = cell.fault;
      return oddity ? [{ ...cell.matches, oddity, forwards }] : [];
    });
  }
  // Few of those that need a processor at a time; those that wait for their deadlines need none.
  await inLanes(
    16,
    all.filter(({ fault }) => !fault.timed),
  );
  await inLanes(
    50,
    all.filter(({ fault }) => fault.timed),
  );

  const arrived = await aws.requests();
  const fired = [...(await proxies.fired()), ...odd.flatMap((server) => server.fired)];
  const table = await items.all();
  const requests: Requests = ({ fault, operation, region }) => {
    const reached = arrived.filter((request) => request.region === region && request.action.endsWith(`:${operation.name}`));
    const stopped = fired.filter((event) => event.region === region && event.operation === operation.name);
    return reached.length + (fault.forwards ? 0 : stopped.length);
  };
  for (const { region, operation, fault } of all) {
    assert.ok(
      fired.some((event) => event.region === region && event.operation === operation.name),
      `"${fault.name}" never struck ${operation.name}`,
    );
  }

  const text = await readFile(DOCUMENT, 'utf8');
  const now = matrix(all, requests, (cell) => cell.left(table));
  if (process.env.FAULTS_WRITE)
    await writeFile(
      DOCUMENT,
      text.replace(BETWEEN, () => now),
    );
  else {
    const documented = BETWEEN.exec(text)![0];
    assert.deepEqual(differences(now, documented), [], 'FAULTS_WRITE=1 writes the tables as they are now');
    assert.ok(now === documented, 'the rows of docs/faults.md have another order');
  }

  await proxies.rules([]);
  for (const server of odd) server.rules = [];
  for (const cell of all) await cell.recover();
});
