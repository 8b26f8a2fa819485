// Replies with random damage: to their bytes, and to the values of their JSON.

import type { Random } from './random.ts';

const VALUES = [
  null,
  true,
  0,
  -1,
  1e308,
  '',
  'x',
  '\u0000',
  'A'.repeat(100_000),
  '😀',
  [],
  {},
  [[[]]],
  { S: 'x' },
  { N: 'NaN' },
  { B: '!' },
  { S: 1 },
];
const MOST_NESTED = 20_000;

/** Bytes turned over, cut off, put in, or nothing but noise. */
export function changedBytes(random: Random, reply: Buffer): Buffer {
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => random.whole(0, 255)));
  const at = random.whole(0, reply.length);
  const kind = random.weighted({ flip: 5, cut: 2, insert: 2, repeat: 1, noise: 1, empty: 1, nested: 1 });
  if (kind === 'cut') return reply.subarray(0, at);
  if (kind === 'insert') return Buffer.concat([reply.subarray(0, at), noise(random.whole(1, 20)), reply.subarray(at)]);
  if (kind === 'repeat') return Buffer.concat([reply, reply]);
  if (kind === 'noise') return noise(random.whole(1, 500));
  if (kind === 'empty') return Buffer.alloc(0);
  if (kind === 'nested')
    return Buffer.from(random.pick(['[', '{"a":', '{"Item":{"a":{"M":{"a":', '{"Item":{"a":{"L":[']).repeat(MOST_NESTED));
  const copy = Buffer.from(reply);
  for (let times = random.whole(1, 3); times > 0 && copy.length > 0; times--) {
    copy[random.whole(0, copy.length - 1)] ^= 1 << random.whole(0, 7);
  }
  return copy;
}

interface Place {
  holder: any;
  name: string;
}

function placesIn(document: any): Place[] {
  if (typeof document !== 'object' || document === null) return [];
  return Object.keys(document).flatMap((name) => [{ holder: document, name }, ...placesIn(document[name])]);
}

/** A JSON document without one of its properties, or with `null` instead: each number is another one. None if there are not so many. */
export function lacking(number: number, reply: Buffer): Buffer | undefined {
  const document = JSON.parse(reply.toString());
  const place = placesIn(document)[Math.floor(number / 2)];
  if (!place) return undefined;
  if (number % 2 === 0) delete place.holder[place.name];
  else place.holder[place.name] = null;
  return Buffer.from(JSON.stringify(document));
}

/** One value of a JSON document replaced, one name changed, or one property gone. */
export function changedJson(random: Random, reply: Buffer): Buffer {
  const document = JSON.parse(reply.toString());
  const places = placesIn(document);
  if (places.length === 0) return Buffer.from(JSON.stringify(random.pick(VALUES)));
  const { holder, name } = random.pick(places);
  const kind = random.weighted({ value: 5, nested: 1, name: 1, gone: 1 });
  if (kind === 'value') holder[name] = random.pick(VALUES);
  if (kind === 'name') holder[`${name}x`] = holder[name];
  if (kind === 'name' || kind === 'gone') delete holder[name];
  if (kind !== 'nested') return Buffer.from(JSON.stringify(document));
  holder[name] = 'HERE';
  const deep = '{"M":{"a":'.repeat(MOST_NESTED);
  return Buffer.from(JSON.stringify(document).replace('"HERE"', () => `${deep}{"S":"x"}${'}}'.repeat(MOST_NESTED)}`));
}
