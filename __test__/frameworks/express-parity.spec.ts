// An Express application that redirects after each change, and clients that follow with the headers, see the same as with express-session's
// MemoryStore, however often they try.

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startAws, startLocal } from '../support/backends.ts';
import { scenarios } from '../support/parity/express/scenarios.ts';
import type { ExpressSetting, Outcomes } from '../support/parity/express-program.ts';
import { expressRuns } from '../support/parity/transcripts.ts';

const REPETITIONS = 50;
/** MemoryStore has one outcome each time. */
const REFERENCE_REPETITIONS = 10;

const settings: ExpressSetting[] = [true, false].flatMap((resave) =>
  [true, false].map((saveUninitialized) => ({ resave, saveUninitialized, repetitions: REPETITIONS })),
);
const touched = settings.map((setting) => ({ ...setting, store: { touchAfter: 0 } }));

/** What is run on which backend, beside the place of its reference in `settings`. */
const tested: Record<string, Array<[ExpressSetting, number]>> = {
  'local mode': [0, 1, 2, 3].map((index) => [(index % 2 ? touched : settings)[index], index]),
  'AWS servers': [
    [settings[0], 0],
    [touched[3], 3],
  ],
};

function titleOf({ resave, saveUninitialized, store }: ExpressSetting): string {
  return `resave ${resave}, saveUninitialized ${saveUninitialized}${store ? ', and a touch is always due' : ''}`;
}

describe('an Express application that was written for MemoryStore', () => {
  let reference: Outcomes[];
  let late: Outcomes;
  const subjects: Record<string, Outcomes[]> = {};
  before(async () => {
    const of = (backend: string) => tested[backend].map(([setting]) => setting);
    const [local, aws] = [await startLocal(), await startAws()];
    try {
      [reference, [late], subjects['local mode'], subjects['AWS servers']] = await Promise.all([
        expressRuns(
          'memory',
          {},
          settings.map((setting) => ({ ...setting, repetitions: REFERENCE_REPETITIONS })),
        ),
        expressRuns('memory, late', {}, [{ ...settings[3], repetitions: 3 }]),
        expressRuns('ours', local.config, of('local mode')),
        expressRuns('ours', aws.config, of('AWS servers')),
      ]);
    } finally {
      await Promise.all([local.stop(), aws.stop()]);
    }
  });

  it('is right in memory', () => {
    for (const run of reference) {
      for (const name of Object.keys(scenarios)) assert.deepEqual(Object.values(run[name]), [REFERENCE_REPETITIONS], name);
    }
  });

  for (const [backend, runs] of Object.entries(tested)) {
    for (const [index, [setting, referred]] of runs.entries()) {
      it(`answers the same ${REPETITIONS} times on ${backend} with ${titleOf(setting)}`, () => {
        const expected = Object.entries(reference[referred]).map(([name, seen]) => [
          name,
          { [Object.keys(seen)[0]]: REPETITIONS },
        ]);
        assert.deepEqual(subjects[backend][index], Object.fromEntries(expected));
      });
    }
  }

  it('loses logins and messages on a store whose reads do not wait for its writes', () => {
    const lost = [
      'signs in',
      'gives a wrong password and sees why, once',
      'sees a flash message once',
      'gives passport a wrong password',
      'gets a file',
    ];
    const right = reference.at(-1)!;
    for (const name of lost) assert.ok(!Object.keys(late[name]).every((outcome) => outcome in right[name]), name);
  });
});
