// The process of one subject. It does what the messages of run.mjs ask for, one after another, and answers each with a value or an error.

import { setTimeout } from 'node:timers/promises';
import { inspect } from 'node:util';
import { startClocks } from './clocks.mjs';
import { startGateway } from './gateway.mjs';
import { closedLoop, Lanes, openLoop } from './loops.mjs';
import { newCookie, sessionData } from './sessions.mjs';
import { measureStretches } from './stretches.mjs';
import { openSubject, SUBJECTS } from './subjects/index.mjs';
import { forEach, Pool, read, save } from './work.mjs';

const { id, servers, ticks, serverCores } = JSON.parse(process.argv[2]);
const { name } = SUBJECTS[id];
/** Size to the pool of sessions of that size, and to the lanes that go round over it. */
const pools = new Map();
const lanes = new Map();
/** How long nothing happens before memory is read. */
const QUIET_MILLIS = 3000;

let subject;
let gateway;
let stopClocks;

async function pool(size, slots) {
  const key = `${size}/${slots}`;
  if (!pools.has(key)) {
    const made = new Pool(name, subject, id, size, slots);
    await made.fill();
    pools.set(key, made);
  }
  return pools.get(key);
}

function lanesOver(size, slots, inFlight) {
  const key = `${size}/${slots}/${inFlight}`;
  if (!lanes.has(key)) lanes.set(key, new Lanes(slots, inFlight));
  return lanes.get(key);
}

const tasks = {
  async open({ options }) {
    subject = await openSubject(id, servers, options);
  },

  /** The id of a session that is in the table. */
  anId: async ({ size }) => [...pools.values()].find((made) => made.size === size).ids[0],

  /** Makes the sessions of coming cells, outside of what is counted. */
  async fill({ size, slots }) {
    await pool(size, slots);
  },

  async closedLoop({ workload, size, slots, inFlight, ...limits }) {
    const made = await pool(size, slots);
    return closedLoop(made.call(workload), lanesOver(size, slots, inFlight), limits);
  },

  /** How often `get + set` has changed the sessions. */
  async visits({ size, slots }) {
    return (await pool(size, slots)).visits();
  },

  async openLoop({ workload, size, slots, ...limits }) {
    const made = await pool(size, slots);
    return openLoop(made.call(workload), { slots, ticks, cores: serverCores, ...limits });
  },

  async gateway({ size, users, due }) {
    await gateway?.app.close();
    const { app, address, cookies } = await startGateway((due && subject.due) || subject.store, { size, users });
    gateway = { app };
    return { address, cookies };
  },

  startClocks() {
    globalThis.gc?.();
    stopClocks = startClocks();
  },

  stopClocks: () => stopClocks(),

  /** More stores like the first one; a session belongs to one of them. */
  async addStores({ stores }) {
    const opened = [subject];
    while (opened.length < stores) opened.push(await openSubject(id, servers));
    subject = inTurn(opened);
  },

  /** Memory before and after `count` sessions were written, when all was quiet for a while, after writing the same ones again, and after the store is closed. */
  async memory({ count, size, again }) {
    const [cookie, data] = [newCookie(), sessionData(size)];
    const load = async () => {
      await forEach(count, (index) => save(subject.store, `memory-${id}-${index}`, { cookie, ...structuredClone(data) }), 64);
      if (!(await read(subject.store, `memory-${id}-0`))) throw new Error(`${name} lost the first session`);
    };
    const settled = async () => {
      await setTimeout(QUIET_MILLIS);
      return memory();
    };
    const before = memory();
    await load();
    const loaded = process.memoryUsage.rss();
    const idle = await settled();
    if (again) await load();
    const second = again ? await settled() : undefined;
    await subject.close();
    return { before, loaded, idle, second, closed: await settled() };
  },

  /** How long calls hold this thread. */
  stretches: (given) => measureStretches(subject.store, { ...given, servers, otherCores: serverCores }),

  rss: memory,

  async close() {
    await gateway?.app.close();
    await subject?.close();
  },
};

/** Many stores as one: each new session id goes to the next of them. */
function inTurn(opened) {
  const owners = new Map();
  const of = (sid) => {
    if (!owners.has(sid)) owners.set(sid, opened[owners.size % opened.length].store);
    return owners.get(sid);
  };
  const store = {
    get: (sid, callback) => of(sid).get(sid, callback),
    set: (sid, session, callback) => of(sid).set(sid, session, callback),
  };
  return { store, cold: store, close: () => Promise.all(opened.map(({ close }) => close())) };
}

function memory() {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

process.on('message', async ({ task, ...given }) => {
  try {
    process.send({ value: await tasks[task](given) });
  } catch (error) {
    process.send({ error: `${name}, ${task} ${JSON.stringify(given)}: ${inspect(error)}` });
  }
});
process.on('disconnect', () => process.exit());
process.send({ value: 'ready' });
